"""Spectral indices and derived columns of the truth table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from galfit_ml.grid import WavelengthGrid
from galfit_ml.simulate.galaxies import simple_galaxies
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.pixels import Pixels
from galfit_ml.simulate.surveys import survey
from galfit_ml.simulate.surveys.indices import StellarIndices
from galfit_ml.simulate.surveys.sample import band_name, observe_parts


@pytest.fixture(scope="module")
def model() -> GalaxyModel:
    return GalaxyModel()


def rest_pixels() -> Pixels:
    grid = WavelengthGrid.log10(3600.0, 4400.0, 5e-5)
    sigma = grid.centres * 70.0 / 299792.458
    return Pixels.from_arrays(grid.centres, [grid.edges], sigma, (3600.0, 4400.0))


def old_and_young(model: GalaxyModel) -> tuple[dict[str, torch.Tensor], torch.Tensor, Pixels]:
    """Indices, and model spectra close to rest, of populations without emission lines of 0.5, 1.5, 4 and 10 Gyr."""
    age = torch.tensor([5e8, 1.5e9, 4e9, 1e10])
    galaxies = simple_galaxies(4, 0.001, formation_age=age, tau=age / 50, velocity_dispersion=10.0, log_ssfr=-13.0)
    pixels = rest_pixels()
    flux, parts = observe_parts(model, [("", galaxies)], pixels)
    return StellarIndices(model.grid)(parts), flux, pixels


def test_the_break_is_that_of_the_model_spectrum(model: GalaxyModel) -> None:
    indices, flux, pixels = old_and_young(model)
    rest = pixels.wavelength.numpy() / 1.001
    f_nu = flux.double().numpy() * rest**2
    vacuum = 1.00028
    red = (rest > 4000 * vacuum) & (rest < 4100 * vacuum)
    blue = (rest > 3850 * vacuum) & (rest < 3950 * vacuum)
    wanted = f_nu[:, red].mean(1) / f_nu[:, blue].mean(1)
    assert indices["D4000n"].numpy() == pytest.approx(wanted, rel=0.01)


def test_hdelta_is_that_of_the_model_spectrum(model: GalaxyModel) -> None:
    indices, flux, pixels = old_and_young(model)
    rest = pixels.wavelength.numpy() / 1.001 / 1.00028
    width = np.gradient(rest)
    f = flux.double().numpy()
    blue, red = ((rest > a) & (rest < b) for a, b in ((4041.6, 4081.5), (4128.5, 4161.0)))
    line = (rest > 4083.5) & (rest < 4122.25)
    share = (rest - 4061.55) / (4144.75 - 4061.55)
    continuum = f[:, blue].mean(1)[:, None] * (1 - share) + f[:, red].mean(1)[:, None] * share
    wanted = ((1 - f / continuum) * width)[:, line].sum(1)
    assert indices["HdA"].numpy() == pytest.approx(wanted, abs=0.15)


def test_indices_age_as_published(model: GalaxyModel) -> None:
    """Kauffmann et al. (2003, fig. 2), solar bursts: H-delta of 6-9 A at 0.5-1.5 Gyr; D4000 1.9-2.1 at 10 Gyr."""
    indices, _, _ = old_and_young(model)
    breaks, hdelta = indices["D4000n"].numpy(), indices["HdA"].numpy()
    assert (np.diff(breaks) > 0).all()
    assert (np.diff(hdelta) < 0).all()
    assert 1.1 < breaks[0] < 1.4
    assert 1.85 < breaks[3] < 2.15
    assert hdelta[0] > 5.5
    assert hdelta[3] < -1.0


def test_indices_of_two_parts_lie_between_theirs(model: GalaxyModel) -> None:
    galaxies = simple_galaxies(1, 0.001, formation_age=1e10, tau=2e8, log_formed_mass=10.0)
    young = replace(galaxies, history=replace(galaxies.history, formation_age=torch.tensor([1e9])))
    _, parts = observe_parts(model, [("bulge_", galaxies), ("disc_", young)], rest_pixels())
    indices = StellarIndices(model.grid)
    alone = [float(indices([part])["D4000n"]) for part in parts]
    assert alone[1] < float(indices(parts)["D4000n"]) < alone[0]


def test_halpha_tells_the_star_formation_rate() -> None:
    """L(H-alpha) / SFR: 10^41.27 erg/s for solar stars (Kennicutt & Evans 2012), 10^41.64 at low Z (Theios 2019)."""
    made = survey("moons-lr", None, "moonz-grid", exposure="1h", redshift=1.0, magnitude=21.0, tier=0)
    pick = (made.truth["class"] == "spiral") & (made.truth["dust_av"] < 0.3)
    from astropy.cosmology import Planck18

    distance = Planck18.luminosity_distance(1.0).to_value("cm")
    attenuated = made.truth["flux_Halpha"][pick] * 1e-17 * 4 * np.pi * distance**2
    # A_V 0.2, eta 2, and the Calzetti curve at H-alpha, 3.33 / 4.05.
    luminosity = attenuated * 10 ** (0.4 * 0.2 * 2 * 3.33 / 4.05)
    ratio = np.log10(luminosity) - made.truth["log_sfr"][pick]
    assert ((ratio > 41.27) & (ratio < 41.64)).all()


def test_bands_have_their_usual_names() -> None:
    from galfit_ml.instruments import get_instrument

    assert band_name(get_instrument("moons-lr")) == "h"
    assert band_name(get_instrument("sdss")) == "r"
