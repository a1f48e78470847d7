"""`Sample`: what a population hands over for observation: noiseless spectra and everything that is true of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from galfit_ml.instruments import Instrument
from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.galaxy import GalaxyModel, ModelSpectra
from galfit_ml.simulate.history import StarFormation
from galfit_ml.simulate.pixels import Pixels

FLUX_UNIT = 1e-17
AB_ZERO = 48.6

_DERIVED = tuple(f.name for f in fields(ModelSpectra) if f.name != "flux")

STANDARD_BANDS = {
    "u": 3550.0,
    "g": 4770.0,
    "r": 6230.0,
    "i": 7630.0,
    "z": 9130.0,
    "y": 10200.0,
    "j": 12520.0,
    "h": 16450.0,
    "k": 21470.0,
}
"""Middle of the usual bands, A (SDSS, Fukugita et al. 1996; VISTA Y J H K_s)."""


def band_name(instrument: Instrument) -> str:
    """The usual name, in lower case, of the band whose middle is nearest to that of the instrument's magnitudes."""
    middle = 0.5 * sum(instrument.magnitude_band)
    return min(STANDARD_BANDS, key=lambda name: abs(np.log(STANDARD_BANDS[name] / middle)))


@dataclass(frozen=True)
class Part:
    """A component of n galaxies.

    Args:
        prefix: of its columns in the truth table: "", "bulge_" or "disc_".
        galaxies: with the mass of the delivered light.
        made: what the model says of them; its flux is that of all components together.
        band_flux: [n] mean f_nu of this component in the instrument's band, erg s^-1 cm^-2 Hz^-1.
    """

    prefix: str
    galaxies: Galaxies
    made: ModelSpectra
    band_flux: Tensor


@dataclass(frozen=True)
class Sample:
    """n galaxies, or other things, as they are before noise.

    Args:
        flux: [n, n_pix] noiseless, delivered: the flux in the fibre over the fibre fraction assumed for it, 1e-17
            erg s^-1 cm^-2 A^-1.
        parts: components; every population has the same prefixes in every sample.
        kind: [n] class.
        aperture: [n] delivered over total flux.
        size: [n] half-light radius, arcsec; None to let the conditions draw it.
    """

    flux: Tensor
    parts: tuple[Part, ...]
    kind: np.ndarray[tuple[int], np.dtype[np.str_]]
    aperture: Tensor
    size: Tensor | None = None

    def __len__(self) -> int:
        return len(self.flux)

    @property
    def band_flux(self) -> Tensor:
        """[n] mean f_nu in the instrument's band, all components, delivered, erg s^-1 cm^-2 Hz^-1."""
        return torch.stack([part.band_flux for part in self.parts]).sum(0)


def ab_magnitude(f_nu: Tensor) -> Tensor:
    """AB magnitude of a mean f_nu, erg s^-1 cm^-2 Hz^-1."""
    return -2.5 * torch.log10(f_nu.double()) - AB_ZERO


def band_flux(flux: Tensor, pixels: Pixels) -> Tensor:
    """Mean f_nu [n] in the band of `pixels` of spectra [n, n_pix] in 1e-17 erg s^-1 cm^-2 A^-1."""
    weights = pixels.band_weights()
    scale = weights.max()
    return (flux @ (weights / scale).float()).double() * scale * FLUX_UNIT


def observe_parts(
    model: GalaxyModel, components: Sequence[tuple[str, Galaxies]], pixels: Pixels
) -> tuple[Tensor, tuple[Part, ...]]:
    """Flux [n, n_pix] of all components together, and the components."""
    total: Tensor | None = None
    parts = []
    for prefix, galaxies in components:
        made = model.observe(galaxies, pixels)
        own = band_flux(made.flux, pixels)
        known = replace(galaxies, log_formed_mass=made.log_formed_mass, magnitude=ab_magnitude(own).float())
        total = made.flux if total is None else total + made.flux
        parts.append(Part(prefix, known, replace(made, flux=made.flux.new_empty(0)), own))
    assert total is not None
    return total, tuple(parts)


def take_sample(sample: Sample, rows: Tensor) -> Sample:
    """The rows `rows` of a sample."""
    parts = []
    for part in sample.parts:
        made = ModelSpectra(flux=part.made.flux, **{name: getattr(part.made, name)[rows] for name in _DERIVED})
        parts.append(replace(part, galaxies=part.galaxies.take(rows), made=made, band_flux=part.band_flux[rows]))
    size = None if sample.size is None else sample.size[rows]
    kind = sample.kind[rows.cpu().numpy()]
    return Sample(sample.flux[rows], tuple(parts), kind, sample.aperture[rows], size)


def joined(samples: Sequence[Sample]) -> Sample:
    """Samples of the same population, one after the other."""
    first = samples[0]
    parts = tuple(_joined_part([sample.parts[i] for sample in samples]) for i in range(len(first.parts)))
    sizes = [sample.size for sample in samples if sample.size is not None]
    return Sample(
        torch.cat([sample.flux for sample in samples]),
        parts,
        np.concatenate([sample.kind for sample in samples]),
        torch.cat([sample.aperture for sample in samples]),
        torch.cat(sizes) if sizes else None,
    )


def _joined_part(parts: Sequence[Part]) -> Part:
    made = {name: torch.cat([getattr(part.made, name) for part in parts]) for name in _DERIVED}
    return Part(
        parts[0].prefix,
        joined_galaxies([part.galaxies for part in parts]),
        ModelSpectra(flux=parts[0].made.flux, **made),
        torch.cat([part.band_flux for part in parts]),
    )


def joined_galaxies(parts: Sequence[Galaxies]) -> Galaxies:
    """Galaxies, one after the other."""
    history = {f.name: torch.cat([getattr(part.history, f.name) for part in parts]) for f in fields(StarFormation)}
    tensors = {
        f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Galaxies) if f.name != "history"
    }
    return Galaxies(history=StarFormation(**history), **tensors)


def on_device(galaxies: Galaxies, device: torch.device) -> Galaxies:
    """The same galaxies on another device."""
    history = {f.name: getattr(galaxies.history, f.name).to(device) for f in fields(StarFormation)}
    tensors = {f.name: getattr(galaxies, f.name).to(device) for f in fields(Galaxies) if f.name != "history"}
    return Galaxies(history=StarFormation(**history), **tensors)
