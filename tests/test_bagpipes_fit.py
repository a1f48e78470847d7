"""Fits with bagpipes itself, each in a process of its own; skipped where the extra `bagpipes` is not installed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from galfit_ml.backend import Request
from galfit_ml.redshift_prior import RedshiftPrior, RedshiftPriors
from galfit_ml.simulate.galaxies import simple_galaxies
from galfit_ml.simulate.galaxy import GalaxyModel, Pixels, reported_parameters
from galfit_ml.spectra import SpectrumBatch
from galfit_ml.testing import default_instrument
from galfit_ml.testing.mocks import observe, pixel_grids
from galfit_ml_bagpipes.backend import BagpipesBackend

MISSING = [name for name in ("bagpipes", "nautilus") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason="bagpipes is not installed: pip install 'galfit-ml[bagpipes]'"),
]

INSTRUMENT = default_instrument(1000.0, (0.05, 0.3))
REDSHIFT = 0.15

LIKELIHOODS = """
import json, sys, warnings
warnings.simplefilter("ignore")
import numpy as np
from galfit_ml.redshift_prior import RedshiftPrior
from galfit_ml_bagpipes.likelihood import Likelihood
from galfit_ml_bagpipes.observed import Observed
from galfit_ml_bagpipes.prior import Prior, RedshiftDensity
wave = np.exp(np.linspace(np.log(4000.0), np.log(9000.0), 1500))
flat = np.ones_like(wave)
observed = Observed(wave, 1e-17 * flat, 1e-18 * flat, flat > 0, 1000 * flat)
prior = Prior(RedshiftDensity.of(RedshiftPrior(), 0.1, 0.2), (0.02, 0.03))
rng = np.random.default_rng(0)
values = [{k: float(v) for k, v in prior.transform(rng.random(len(prior.free))).items()} for _ in range(3)]
values[0] |= {"log_recent_fraction": -0.5, "dust_av": 0.1, "redshift": 0.2, "log_ionisation": -2.5}
values[0] |= {"log_gas_metallicity": -0.5, "velocity_dispersion": 60.0}
found = {}
for stock in (True, False):
    likelihood = Likelihood(observed, values[0], 0.2, stock=stock)
    found[str(stock)] = [likelihood(v) for v in values]
    model, parts = likelihood.model, []
    formed = rng.random(model.sfh.ceh.grid.shape) if stock else formed
    for cloud in (0.002, 0.01, 0.013):
        parts += [*model.stellar.spectrum(formed.copy(), cloud)]
        for log_u in (-4.0, -3.0, -2.7, -1.5):
            parts += [model.nebular.spectrum(formed.copy(), cloud, log_u)]
            parts += [model.nebular.line_fluxes(formed.copy(), cloud, log_u)]
    parts += [model.igm.trans(z) for z in (0.0, 1e-4, 0.2, 3.0, 5.99)]
    made = parts if stock else made
found["parts"] = max(float(np.max(np.abs(a - b) / (np.abs(b).max() + 1e-300))) for a, b in zip(parts, made))
spectrum = likelihood.spectrum(values[0])[0]
near = abs(wave - 5008.24 * 1.2) < 15
line = spectrum[near] - spectrum[near].min()
found["oiii"] = float((wave[near] * line).sum() / line.sum())
print("found " + json.dumps(found))
"""


@pytest.fixture(scope="module")
def likelihoods(fresh_python: Any) -> dict[str, Any]:
    said = fresh_python(LIKELIHOODS).stdout.splitlines()
    return json.loads(next(line for line in said if line.startswith("found ")).removeprefix("found "))


def test_arrays_in_place_of_loops_change_no_likelihood(likelihoods: dict[str, Any]) -> None:
    assert likelihoods["False"] == pytest.approx(likelihoods["True"], rel=1e-8)


def test_every_part_in_arrays_is_that_in_loops(likelihoods: dict[str, Any]) -> None:
    """Stars, gas and lines for several ages of birth clouds and ionisation parameters, transmission at any redshift."""
    assert likelihoods["parts"] < 1e-12


def test_lines_lie_at_their_vacuum_wavelengths(likelihoods: dict[str, Any]) -> None:
    # In air [O III] would lie 84 km/s to the blue.
    assert 3e5 * (likelihoods["oiii"] / (5008.24 * 1.2) - 1) == pytest.approx(0.0, abs=20.0)


def mock(snr: float) -> tuple[SpectrumBatch, dict[str, float]]:
    """A star-forming galaxy of this package's model that bagpipes can make too."""
    galaxies = simple_galaxies(
        1,
        REDSHIFT,
        magnitude=18.0,
        log_ssfr=-9.8,
        log_metallicity=-0.3,
        log_gas_metallicity=-0.1,
        dust_av=0.7,
        dust_eta=2.0,
        velocity_dispersion=120.0,
        gas_dispersion=120.0,
        formation_age=5e9,
        tau=2e9,
        log_burst_fraction=-3.0,
    )
    (grid,) = pixel_grids(INSTRUMENT)
    sigma = INSTRUMENT.sigma(grid.centres)
    pixels = Pixels.from_arrays(grid.centres, [grid.edges], sigma, INSTRUMENT.magnitude_band)
    with torch.no_grad():
        made = GalaxyModel().observe(galaxies, pixels)
    truth = {name: float(value[0]) for name, value in reported_parameters(galaxies, made).items()}
    return observe(INSTRUMENT, [made.flux.double().numpy()], snr, np.random.default_rng(5)), truth


# The sampler need not have converged: where it has got to lies near the best model.
def test_a_galaxy_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    batch, truth = mock(15.0)
    prior = RedshiftPriors((RedshiftPrior(REDSHIFT - 0.01, REDSHIFT + 0.01),))
    backend = BagpipesBackend(n_live=250, n_eff=400, max_calls=40_000, calibration_order=None)
    row = backend.infer(batch, Request(400, 1, prior))
    assert row.ok[0], row.reasons[0]
    assert row.best_fit.chi2[0] / row.best_fit.n_good[0] < 1.2
    tolerated = {"redshift": 2e-4, "log_stellar_mass": 0.2, "log_sfr": 0.25, "dust_av": 0.3, "log_metallicity": 0.3}
    for name, least in tolerated.items():
        width = float(row[name][0].std())
        assert abs(row.median()[name][0] - truth[name]) < max(3.5 * width, least), name
    assert not list(tmp_path.iterdir())
