"""`GalaxyModel`: galaxies in, observed-frame spectra out; batched, on CPU or CUDA."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from galfit_ml.simulate.attenuation import DiffuseDust
from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml.simulate.dust import milky_way
from galfit_ml.simulate.emission import EmissionLines
from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.history import BIRTH_CLOUD_YR, RECENT_YR, FormedMass, formed_mass
from galfit_ml.simulate.igm import igm_transmission
from galfit_ml.simulate.interstellar import InterstellarMedium
from galfit_ml.simulate.lines import add_lines
from galfit_ml.simulate.lsf import library_variance
from galfit_ml.simulate.memory import keep_freed_memory
from galfit_ml.simulate.pixel_sampler import PixelSampler
from galfit_ml.simulate.pixels import Pixels
from galfit_ml.simulate.populations import SOLAR_LUMINOSITY, StellarPopulations, default_populations
from galfit_ml.simulate.smoothing import C_KMS

__all__ = ["GalaxyModel", "ModelSpectra", "Pixels", "interpolation_weights"]

LYMAN_LIMIT = 911.75
LYMAN_ALPHA = 1215.67
CHUNK = 64


@dataclass(frozen=True)
class ModelSpectra:
    """Model spectra and what follows from them.

    Args:
        flux: [n, n_pix] observed flux density, erg s^-1 cm^-2 A^-1, in the unit given to `GalaxyModel.observe`.
        log_stellar_mass: [n] living stars and remnants, log10 M_sun.
        log_living_mass: [n] living stars alone, log10 M_sun.
        log_formed_mass: [n] log10 M_sun.
        log_sfr: [n] mean of 100 Myr, log10 M_sun/yr.
        log_age: [n] age weighted by formed mass, log10 yr.
        log_sfr10: [n] mean of 10 Myr, which the lines of young stars follow, log10 M_sun/yr.
    """

    flux: Tensor
    log_stellar_mass: Tensor
    log_living_mass: Tensor
    log_formed_mass: Tensor
    log_sfr: Tensor
    log_age: Tensor
    log_sfr10: Tensor


def interpolation_weights(nodes: Tensor, value: Tensor) -> Tensor:
    """Linear interpolation as a matrix: weights [n, n_nodes] of increasing `nodes` at `value` [n], clipped."""
    value = value.clamp(float(nodes[0]), float(nodes[-1]))
    high = torch.searchsorted(nodes, value.contiguous()).clamp(1, len(nodes) - 1)
    share = (value - nodes[high - 1]) / (nodes[high] - nodes[high - 1])
    weights = torch.zeros(len(value), len(nodes), dtype=value.dtype, device=value.device)
    weights.scatter_(1, high[:, None], share[:, None])
    return weights.scatter_(1, high[:, None] - 1, (1 - share)[:, None])


class GalaxyModel:
    """Spectra of model galaxies.

    Stars and nebular continuum are linear combinations of the grid; dust acts on the rest-frame grid; velocity
    dispersion and line-spread function act in Fourier space; redshift is a shift, evaluated by cubic B-splines at the
    observed pixels; lines are Gaussians integrated over the pixels.

    Args:
        populations: stellar grid; the shipped one by default.
        cosmology: Planck 2018 by default.
        device: "cpu" or "cuda".
    """

    def __init__(
        self,
        populations: StellarPopulations | None = None,
        cosmology: Cosmology | None = None,
        device: str = "cpu",
    ) -> None:
        keep_freed_memory()
        grid = (populations or default_populations()).to(device)
        self.grid = grid
        self.cosmology = cosmology or Cosmology.default()
        self.device = torch.device(device)
        n_wave = len(grid.wavelength)
        self.n_young = grid.nebular_continuum.shape[2]
        self._first_old = int(torch.searchsorted(grid.age_edges, BIRTH_CLOUD_YR, right=True)) - 1
        self._stars = grid.stars[:, self._first_old :].reshape(-1, n_wave).T.contiguous()
        self._young = grid.stars[:, : self.n_young].reshape(-1, n_wave).T.contiguous()
        self._nebular = torch.cat([grid.nebular_continuum, grid.line_luminosity], dim=-1).flatten(0, 2)
        self._log_z, self._log_zgas = grid.metallicity.log10(), grid.gas_metallicity.log10()
        self._dust = DiffuseDust(grid.wavelength)
        self._n_dark = int(torch.searchsorted(grid.wavelength, LYMAN_LIMIT))
        self._neb_index, self._neb_share = _upsampling(grid.nebular_wavelength, grid.wavelength)
        self._library_variance = library_variance(grid)
        self._interstellar = InterstellarMedium(grid, self._library_variance)
        self.lines = EmissionLines(grid)
        self._ages = 0.5 * (grid.age_edges[1:] + grid.age_edges[:-1])
        self._surviving = grid.living_fraction + grid.remnant_fraction
        self._last: tuple[Pixels, PixelSampler] | None = None
        self._rate = (grid.ionising_rate[:, : self.n_young] / 1e46).float()

    def observe(self, galaxies: Galaxies, pixels: Pixels, unit: float = 1e-17) -> ModelSpectra:
        """Noiseless spectra.

        Args:
            galaxies: n galaxies, on the model's device.
            pixels: where; on the model's device.
            unit: flux unit, erg s^-1 cm^-2 A^-1.
        """
        order = torch.argsort(galaxies.redshift)
        weights, reddening = pixels.band_weights() * unit, milky_way(pixels.wavelength).float()
        sampler = self._sampler(pixels)
        flux = torch.empty(len(galaxies), len(pixels.wavelength), device=self.device)
        parts = []
        for rows in torch.split(order, CHUNK):
            g = galaxies.take(rows)
            light, mass = self._light(g, pixels.take(rows), sampler.take(rows))
            light *= self.to_flux(g.redshift, unit)[:, None]
            if bool((g.ebv != 0).any()):
                light *= torch.exp((-0.4 * np.log(10.0) * g.ebv)[:, None] * reddening)
            log_formed = _log_formed_mass(g, light, weights)
            flux[rows] = light.mul_(10 ** log_formed[:, None])
            parts.append(_derived(log_formed, mass, self._ages))
        back = torch.argsort(order)
        return ModelSpectra(flux, *(torch.cat(columns)[back] for columns in zip(*parts, strict=True)))

    def _sampler(self, pixels: Pixels) -> PixelSampler:
        """The sampler of these pixels; the last one is kept, since a sampler of posteriors asks again and again."""
        if self._last is None or self._last[0] is not pixels:
            self._last = pixels, PixelSampler(self.grid, self._library_variance, pixels)
        return self._last[1]

    def line_luminosities(self, galaxies: Galaxies) -> Tensor:
        """Light that leaves the galaxies in each line of `self.lines`, [n, n_line] L_sun per M_sun formed."""
        mass, z_weights = self._formed(galaxies)
        return self.lines.strengths(galaxies, self._nebular_emission(galaxies, mass, z_weights)[1], mass, z_weights)

    def formed(self, galaxies: Galaxies) -> FormedMass:
        """Formed mass in the age bins of the grid, per unit formed mass."""
        return self._formed(galaxies)[0]

    def to_flux(self, redshift: Tensor, unit: float) -> Tensor:
        """[n] flux density, in `unit`, per L_sun / (rest angstrom): L / (4 pi d_L^2 (1 + z))."""
        distance = self.cosmology.luminosity_distance_cm(redshift)
        return (SOLAR_LUMINOSITY / (4 * np.pi * distance**2 * (1 + redshift)) / unit).float()

    def _light(self, g: Galaxies, pixels: Pixels, sampler: PixelSampler) -> tuple[Tensor, FormedMass]:
        """Luminosity at the observed pixels, [n, n_pix] L_sun per rest angstrom and M_sun formed."""
        mass, z_weights = self._formed(g)
        nebular, lines = self._nebular_emission(g, mass, z_weights)
        window = sampler.window(g)
        light = sampler.project(self._continuum(g, mass, z_weights, nebular, window), window[0], g)
        self._draw_lines(light, g, self.lines.strengths(g, lines, mass, z_weights), pixels)
        return light, mass

    def _formed(self, g: Galaxies) -> tuple[FormedMass, Tensor]:
        """Formed mass in age bins, and the share of each metallicity of the grid, [n, n_Z]."""
        z_weights = interpolation_weights(self._log_z, g.log_metallicity)
        surviving, living = z_weights @ self._surviving, z_weights @ self.grid.living_fraction
        return formed_mass(g.history, self.grid.age_edges, surviving, living), z_weights

    def _nebular_emission(self, g: Galaxies, mass: FormedMass, z_weights: Tensor) -> tuple[Tensor, Tensor]:
        """Nebular continuum [n, n_neb] (L_sun/A) and lines [n, n_line] (L_sun) per M_sun formed."""
        cloud = mass.cloud[:, : self.n_young]
        gas = interpolation_weights(self._log_zgas, g.log_gas_metallicity)
        ionisation = interpolation_weights(self.grid.log_u, g.log_ionisation)
        weights = gas[:, :, None, None] * ionisation[:, None, :, None] * cloud[:, None, None, :]
        match = interpolation_weights(self._log_z, g.log_gas_metallicity)
        scale = ((z_weights @ self._rate) * cloud).sum(1) / ((match @ self._rate) * cloud).sum(1).clamp(min=1e-30)
        emission = (weights.flatten(1) @ self._nebular) * scale[:, None]
        n_continuum = len(self.grid.nebular_wavelength)
        return emission[:, :n_continuum], emission[:, n_continuum:]

    def _continuum(
        self, g: Galaxies, mass: FormedMass, z_weights: Tensor, nebular: Tensor, window: tuple[int, int]
    ) -> Tensor:
        """Rest-frame stars and nebular continuum behind dust and gas, [n, n_window], at the grid pixels `window`."""
        first, last = window
        n_dark = max(self._n_dark - first, 0)
        old = (z_weights[:, :, None] * (mass.total - mass.cloud)[:, None, self._first_old :]).flatten(1)
        young = (z_weights[:, :, None] * mass.cloud[:, None, : self.n_young]).flatten(1)
        low, share = self._neb_index[first:last], self._neb_share[first:last]
        birth = young @ self._young[first:last].T
        birth[:, :n_dark] = 0.0
        birth += torch.lerp(nebular.index_select(1, low), nebular.index_select(1, low + 1), share)
        depth = self._dust.depth(g, slice(first, last))
        light = old @ self._stars[first:last].T
        light.addcmul_(torch.exp(depth * (g.dust_eta - 1)[:, None]), birth)
        light *= depth.exp_()
        light[:, :n_dark] = 0.0
        wave = self.grid.wavelength[first:last]
        blue = int(torch.searchsorted(wave, LYMAN_ALPHA))
        if blue:
            light[:, :blue] *= igm_transmission(wave[:blue], g.redshift.float())
        self._interstellar.absorb(light, first, g)
        return light

    def _draw_lines(self, flux: Tensor, g: Galaxies, strength: Tensor, pixels: Pixels) -> None:
        """Add emission lines to `flux` [n, n_pix] (L_sun per rest angstrom, so that both scale alike)."""
        centre = self.lines.centres(g)
        strength = strength * (1 + g.redshift.float())[:, None]
        start = 0
        for edges in pixels.edges:
            add_lines(flux, edges, centre, self._line_sigma(centre, g, pixels, start, edges), strength, start)
            start += len(edges) - 1

    @staticmethod
    def _line_sigma(centre: Tensor, g: Galaxies, pixels: Pixels, start: int, edges: Tensor) -> Tensor:
        """Gaussian sigma of lines before pixel integration, [n, n_line] angstrom; the LSF contains the pixel."""
        pixel = torch.searchsorted(edges, centre.contiguous()).clamp(1, len(edges) - 1) - 1
        width = (edges[1:] - edges[:-1])[pixel].float()
        lsf = pixels.lsf_sigma
        instrument = lsf[start + pixel] if lsf.ndim == 1 else torch.gather(lsf, 1, start + pixel)
        doppler = centre.float() * (g.gas_dispersion / C_KMS)[:, None]
        return torch.sqrt(doppler**2 + (instrument**2 - width**2 / 12).clamp(min=0.0) + 1e-12)


def _log_formed_mass(g: Galaxies, flux: Tensor, weights: Tensor) -> Tensor:
    """log10 formed mass that gives the magnitude asked for, or the mass asked for, [n].

    Args:
        flux: [n, n_pix] per M_sun formed.
        weights: [n_pix] that turn it into the mean f_nu of the band, erg s^-1 cm^-2 Hz^-1.
    """
    scale = weights.max()
    f_nu = (flux @ (weights / scale).float()).double() * scale
    wanted = 10 ** (-0.4 * (g.magnitude.double() + 48.6))
    return torch.where(g.log_formed_mass.isnan(), torch.log10(wanted / f_nu).float(), g.log_formed_mass)


def _derived(log_formed: Tensor, mass: FormedMass, ages: Tensor) -> tuple[Tensor, ...]:
    """What catalogues list, in the order of `ModelSpectra`."""
    rate = mass.recent_fraction.clamp(min=1e-30) / RECENT_YR
    return (
        log_formed + torch.log10(mass.surviving),
        log_formed + torch.log10(mass.living),
        log_formed,
        log_formed + torch.log10(rate),
        torch.log10((mass.total * ages).sum(1)),
        log_formed + torch.log10(mass.cloud.sum(1).clamp(min=1e-30) / BIRTH_CLOUD_YR),
    )


def _upsampling(coarse: Tensor, fine: Tensor) -> tuple[Tensor, Tensor]:
    """Index and share for linear interpolation from a coarse to a fine wavelength grid."""
    high = torch.searchsorted(coarse, fine.contiguous()).clamp(1, len(coarse) - 1)
    share = ((fine - coarse[high - 1]) / (coarse[high] - coarse[high - 1])).clamp(0, 1)
    return high - 1, share


def reported_parameters(galaxies: Galaxies, made: ModelSpectra) -> dict[str, Tensor]:
    """The parameters of `galfit_ml.parameters.GALAXY` of model galaxies, name -> [n] float64."""
    tensors = {
        "redshift": galaxies.redshift,
        "log_stellar_mass": made.log_stellar_mass,
        "log_sfr": made.log_sfr,
        "log_metallicity": galaxies.log_metallicity,
        "gas_metallicity": 10**galaxies.log_gas_metallicity,
        "dust_av": galaxies.dust_av,
        "velocity_dispersion": galaxies.velocity_dispersion,
        "log_age": made.log_age,
        "log_ionisation": galaxies.log_ionisation,
    }
    return {name: tensor.double() for name, tensor in tensors.items()}
