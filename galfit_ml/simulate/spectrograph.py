"""`Spectrograph`: noiseless spectra in, what an instrument would deliver out; batched, on CPU or CUDA."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from galfit_ml.errors import unknown_name
from galfit_ml.instruments import Instrument, get_instrument
from galfit_ml.observatory import SkyMode
from galfit_ml.simulate.calibration import calibration_modes
from galfit_ml.simulate.conditions import Conditions, ConditionsError
from galfit_ml.simulate.curve_noise import CurveNoise
from galfit_ml.simulate.masks import MaskBit, add_bad_pixels
from galfit_ml.simulate.memory import keep_freed_memory
from galfit_ml.simulate.noise import (
    NOISE_SCALE,
    Exposure,
    Frame,
    add_saturation,
    add_systematics,
    add_white,
    blank_unusable,
)
from galfit_ml.simulate.observation import Observation
from galfit_ml.simulate.photon_noise import PhotonNoise
from galfit_ml.simulate.pixels import Pixels

__all__ = ["Observation", "Spectrograph"]

CHUNK = {"cpu": 64, "cuda": 1024}
"""Spectra at a time: on a CPU they stay in the cache."""

TIERS = (0, 1, 2)


class Spectrograph:
    """An instrument that observes.

    The flux given to it is the one delivered: the light that enters the fibre, divided by the fibre fraction of the
    stated size and seeing, as a pipeline that corrects for the fibre loss reports it.

    Tiers: 0 is white noise of object, sky and detector, nothing masked; 1 adds the coherent sky residual, the flux
    calibration, an inverse variance that is off by s, and masks; 2 is tier 1 under `Conditions.draw`.

    Args:
        instrument: one with an observatory (throughput and detector in each arm) or a noise curve, or its name.
        mode: sky mode, by name; the first of the observatory by default.
        device: "cpu" or "cuda".

    Raises:
        ConditionsError: the instrument's noise is not known.
        UnknownNameError: no such instrument or mode.
    """

    def __init__(
        self, instrument: Instrument | str, *, mode: str | None = None, device: str | torch.device = "cpu"
    ) -> None:
        keep_freed_memory()
        self.instrument = get_instrument(instrument)
        self.device = torch.device(device)
        self.mode = _sky_mode(self.instrument, mode)
        self.noise = _noise_models(self.instrument, self.mode, self.device)
        widths = [model.n_pix for model in self.noise]
        edges = [sum(widths[:i]) for i in range(len(widths) + 1)]
        self.arms = tuple(slice(low, high) for low, high in pairwise(edges))
        self.pixels = _pixels(self.instrument).to(self.device)
        static = np.concatenate([model.mask() for model in self.noise])
        self.static_mask = torch.as_tensor(static, device=self.device)
        """[n_pix] mask bits that every spectrum has."""
        self.calibration_modes = tuple(
            torch.as_tensor(calibration_modes(self.instrument, width), dtype=torch.float32, device=self.device)
            for width in widths
        )
        """Per arm, [n_mode, n_arm_pix]: standard normals times these, summed, are its relative calibration error."""

    @property
    def n_pix(self) -> int:
        """Pixels of all arms."""
        return len(self.static_mask)

    def white_variance(self, flux: Tensor, conditions: Conditions) -> Tensor:
        """White variance [n, n_pix] of noiseless spectra `flux` [n, n_pix], 1e-17 erg s^-1 cm^-2 A^-1."""
        self._check(flux, conditions)
        out = torch.empty(flux.shape, device=self.device)
        for rows in self._chunks(len(flux)):
            for exposure, arm in zip(self.exposed(conditions.take(rows)), self.arms, strict=True):
                out[rows, arm] = exposure.white_variance(flux[rows, arm].float())
        return out

    def exposed(self, conditions: Conditions) -> tuple[Exposure, ...]:
        """What each arm's noise model says about given conditions: sky residual, its variance and its modes."""
        return tuple(model.exposed(conditions) for model in self.noise)

    def observe(
        self, flux: Tensor, conditions: Conditions, *, tier: int = 2, generator: torch.Generator
    ) -> Observation:
        """Spectra with noise.

        Args:
            flux: [n, n_pix] noiseless, 1e-17 erg s^-1 cm^-2 A^-1, on the pixels and device of the spectrograph.
            conditions: of the n observations, on the same device.
            tier: 0, 1 or 2; 2 differs from 1 in the conditions alone.
            generator: source of all randomness, on the same device; the same seed makes the same spectra.

        Raises:
            ConditionsError: unknown tier, conditions or flux that make no sense.
        """
        if tier not in TIERS:
            raise ConditionsError(f"There is no noise tier {tier!r}. Choose 0 (white), 1 (systematics) or 2.")
        self._check(flux, conditions)
        frame = Frame.empty(len(flux), self.n_pix, self.device)
        for rows in self._chunks(len(flux)):
            part = frame.part(rows=rows)
            self._observe_chunk(part, flux[rows].float(), conditions.take(rows), tier, generator)
        return Observation(**vars(frame), arms=self.arms)

    def _observe_chunk(
        self, out: Frame, flux: Tensor, conditions: Conditions, tier: int, generator: torch.Generator
    ) -> None:
        exposures = self.exposed(conditions)
        parts = [(out.part(arm), flux[:, arm]) for arm in self.arms]
        if tier == 0:
            for (part, clean), exposure in zip(parts, exposures, strict=True):
                add_white(part, clean, exposure, generator)
            out.ivar.copy_(out.white_ivar)
            out.noise_scale.fill_(1.0)
            out.mask.copy_((self.static_mask & int(MaskBit.GAP)).expand_as(out.mask))
            blank_unusable(out)
            return
        out.noise_scale.normal_(generator=generator).mul_(NOISE_SCALE).exp_()
        out.mask.copy_(self.static_mask.expand_as(out.mask))
        for (part, clean), exposure, calibration in zip(parts, exposures, self.calibration_modes, strict=True):
            variance = add_white(part, clean, exposure, generator)
            add_systematics(part, variance, exposure, calibration, clean=clean, generator=generator)
            add_saturation(part.mask, clean, exposure)
        add_bad_pixels(out.mask, generator)
        blank_unusable(out)

    def _chunks(self, n: int) -> list[slice]:
        size = CHUNK[self.device.type]
        return [slice(start, min(start + size, n)) for start in range(0, n, size)]

    def _check(self, flux: Tensor, conditions: Conditions) -> None:
        if flux.ndim != 2 or flux.shape != (len(conditions), self.n_pix):
            raise ConditionsError(
                f"Flux of shape {tuple(flux.shape)} cannot be observed: {len(conditions)} conditions and "
                f"{self.n_pix} pixels of '{self.instrument.name}' ask for [{len(conditions)}, {self.n_pix}]."
            )
        if not bool(torch.isfinite(flux.sum())):
            raise ConditionsError("The noiseless flux has values that are not finite: the galaxy model overflowed.")
        conditions.check()


def _sky_mode(instrument: Instrument, name: str | None) -> SkyMode | None:
    modes = {mode.name: mode for mode in instrument.observatory.modes} if instrument.observatory else {}
    if name is None:
        return next(iter(modes.values()), None)
    found = {known.lower(): mode for known, mode in modes.items()}.get(name.lower())
    if found is None:
        raise unknown_name(f"sky mode of {instrument.name}", name, modes)
    return found


def _noise_models(
    instrument: Instrument, mode: SkyMode | None, device: torch.device
) -> tuple[PhotonNoise, ...] | tuple[CurveNoise, ...]:
    complete = all(arm.throughput is not None and arm.detector is not None for arm in instrument.arms)
    arms = list(enumerate(instrument.arms))
    if instrument.observatory is not None and mode is not None and complete:
        return tuple(PhotonNoise(arm, i, instrument.observatory, mode, device) for i, arm in arms)
    if instrument.noise_curve is not None:
        return tuple(CurveNoise(arm, i, instrument.noise_curve, device) for i, arm in arms)
    raise ConditionsError(
        f"The noise of instrument '{instrument.name}' is not known, so that it cannot be simulated: it has neither an "
        "observatory with throughput and detector in each arm nor a noise curve. Add one to its TOML file, or use "
        "another instrument; see galfit_ml.instruments."
    )


def _pixels(instrument: Instrument) -> Pixels:
    grids = [arm.grid for arm in instrument.arms]
    sigma = [arm.resolution.sigma(grid.centres) for arm, grid in zip(instrument.arms, grids, strict=True)]
    wavelength = np.concatenate([grid.centres for grid in grids])
    return Pixels.from_arrays(wavelength, [g.edges for g in grids], np.concatenate(sigma), instrument.magnitude_band)
