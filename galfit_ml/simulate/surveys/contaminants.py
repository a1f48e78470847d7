"""What else ends up in the fibres of a galaxy survey: stars, broad-line quasars, and nothing but sky."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources

import numpy as np
import torch
from numpy.typing import NDArray

from galfit_ml.errors import FileFormatError
from galfit_ml.grid import SPEED_OF_LIGHT_KMS
from galfit_ml.simulate.pixels import Pixels
from galfit_ml.simulate.surveys.quasars import quasar_spectra
from galfit_ml.simulate.surveys.sample import Sample, band_flux

Floats = NDArray[np.float64]

KINDS = ("star", "quasar", "sky")

STAR_VELOCITY = 60.0
"""km/s, sigma of the radial velocities: between the thin disc's 40 and the thick disc's 65 (Robin et al. 2003, A&A 409,
523, table 4, radial component)."""

LOWEST_QUASAR = 0.1
"""Least redshift of a quasar: nearer ones are Seyfert galaxies."""


@dataclass(frozen=True)
class StarTemplates:
    """Spectra of stars; `galfit_ml/data/contaminants/README.md` says which.

    Args:
        wavelength: [n_wave] vacuum A.
        flux: [n_star, n_wave] f_lambda, arbitrary scale.
        temperature: [n_star] effective temperature, K.
    """

    wavelength: Floats
    flux: Floats
    temperature: Floats

    @classmethod
    def load(cls) -> StarTemplates:
        """The templates of the package, read once per process."""
        return _load_stars()

    def spectra(self, wavelength: Floats, star: NDArray[np.intp], velocity: Floats) -> Floats:
        """f_lambda [n, n_pix] of templates `star` [n] that move with `velocity` [n] km/s, at `wavelength` [n_pix] A."""
        stretch = 1 + velocity / SPEED_OF_LIGHT_KMS
        rows = [np.interp(wavelength / s, self.wavelength, self.flux[i]) for i, s in zip(star, stretch, strict=True)]
        return np.array(rows).reshape(len(star), len(wavelength))


@lru_cache(maxsize=1)
def _load_stars() -> StarTemplates:
    path = resources.files("galfit_ml") / "data" / "contaminants" / "stars.npz"
    if not path.is_file():
        raise FileFormatError(
            f"There are no star templates at {path}: the installation is incomplete. "
            "Reinstall it: pip install --force-reinstall galfit-ml"
        )
    with path.open("rb") as file, np.load(file, allow_pickle=False) as table:
        return StarTemplates(table["wavelength"], table["flux"].astype(np.float64), table["temperature"])


@dataclass(frozen=True)
class Contaminated:
    """A sample some of whose galaxies gave way to something else.

    Args:
        sample: with flux, class and size of what is there.
        other: [n] True where there is no galaxy.
        redshift: [n] of stars (velocity over the speed of light) and quasars, NaN elsewhere.
        temperature: [n] of stars, K; NaN elsewhere.
    """

    sample: Sample
    other: NDArray[np.bool_]
    redshift: Floats
    temperature: Floats


class Contaminants:
    """Puts stars, quasars and sky into a sample, as bright in the band as the galaxies they stand for.

    Stars are drawn alike from all templates, quasars flat in ln(1 + z).

    Args:
        shares: kind -> fraction of all fibres.
        pixels: of the instrument.
        redshift: range of the quasars, cut at 0.1 below.
    """

    def __init__(self, shares: Mapping[str, float], pixels: Pixels, redshift: tuple[float, float]) -> None:
        self.shares = {kind: float(shares.get(kind, 0.0)) for kind in KINDS}
        self.pixels = pixels
        self.redshift = (max(redshift[0], LOWEST_QUASAR), max(redshift[1], LOWEST_QUASAR))
        self._wavelength = pixels.wavelength.cpu().numpy()

    def put_into(self, sample: Sample, rng: np.random.Generator) -> Contaminated:
        """The sample with contaminants; the galaxies that stay are the same as without."""
        n = len(sample)
        if not any(self.shares.values()):
            none = np.full(n, np.nan)
            return Contaminated(sample, np.zeros(n, dtype=bool), none, none)
        kind = self._draw_kinds(n, rng)
        star = rng.integers(len(StarTemplates.load().temperature), size=n)
        velocity = STAR_VELOCITY * rng.standard_normal(n)
        low, high = np.log1p(self.redshift)
        redshift = np.expm1(low + (high - low) * rng.random(n))
        rows = {name: np.flatnonzero(kind == name) for name in KINDS}
        shapes = {
            "star": StarTemplates.load().spectra(self._wavelength, star[rows["star"]], velocity[rows["star"]]),
            "quasar": quasar_spectra(self._wavelength, redshift[rows["quasar"]], rng),
        }
        return Contaminated(
            sample=self._replaced(sample, kind, rows, shapes),
            other=kind != "",
            redshift=np.select([kind == "star", kind == "quasar"], [velocity / SPEED_OF_LIGHT_KMS, redshift], np.nan),
            temperature=np.where(kind == "star", StarTemplates.load().temperature[star], np.nan),
        )

    def _draw_kinds(self, n: int, rng: np.random.Generator) -> NDArray[np.str_]:
        """Kind of each fibre, "" for a galaxy."""
        edges = np.cumsum([self.shares[kind] for kind in KINDS])
        return np.array([*KINDS, ""])[np.searchsorted(edges, rng.random(n), side="right")]

    def _replaced(
        self,
        sample: Sample,
        kind: NDArray[np.str_],
        rows: Mapping[str, NDArray[np.intp]],
        shapes: Mapping[str, Floats],
    ) -> Sample:
        flux = sample.flux.clone()
        for name, shape in shapes.items():
            index = torch.as_tensor(rows[name], device=flux.device)
            spectra = torch.as_tensor(shape, dtype=torch.float32, device=flux.device)
            # The shapes are of order 1, so their scale is that of the flux: a ratio of two band fluxes.
            scale = sample.band_flux[index] / band_flux(spectra, self.pixels) if len(index) else spectra.new_ones(0)
            flux[index] = spectra * scale.float()[:, None]
        flux[torch.as_tensor(rows["sky"], device=flux.device)] = 0.0
        other = torch.as_tensor(kind != "", device=flux.device)
        size = None if sample.size is None else torch.where(other, 0.0, sample.size)
        return replace(sample, flux=flux, kind=np.where(kind == "", sample.kind, kind), size=size)
