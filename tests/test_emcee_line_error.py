"""How far line ratios are trusted: the columns of the line factors against a model whose lines are changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.pixels import Pixels
from galfit_ml.simulate.prior import GalaxyPrior, coordinate
from galfit_ml_emcee.likelihood import Spectrum
from galfit_ml_emcee.line_error import LINES, NEAR_ANGSTROM, RELATIVE_ERROR, line_factors
from galfit_ml_emcee.nuisances import ArmErrors

Floats = NDArray[np.float64]

Z = 0.05


def pixels_of(low: float, high: float) -> Pixels:
    edges = np.arange(low, high, 2.0)
    wave = 0.5 * (edges[1:] + edges[:-1])
    return Pixels.from_arrays(wave, [edges], wave / 2000 / 2.355, (low, high))


OPTICAL = pixels_of(3800, 7300)


@pytest.fixture(scope="module")
def model() -> GalaxyModel:
    return GalaxyModel()


@pytest.fixture(scope="module")
def galaxy() -> Galaxies:
    """A star-forming galaxy with strong lines."""
    prior = GalaxyPrior((Z, Z), (17.0, 17.0))
    cube = torch.full((1, prior.n_dim), 0.5, dtype=torch.float64)
    cube[0, coordinate("log_ssfr")], cube[0, coordinate("dust_av")] = 0.9, 0.1
    cube[0, coordinate("gas_velocity")] = 0.5
    return prior.transform(cube)


class Brightened:
    """The lines of a model with one group brighter."""

    def __init__(self, lines: object, group: tuple[float, ...], factor: float) -> None:
        self._lines, self._group, self._factor = lines, group, factor

    def __getattr__(self, name: str) -> object:
        return getattr(self._lines, name)

    def strengths(self, *arguments: object) -> torch.Tensor:
        out = self._lines.strengths(*arguments).clone()  # type: ignore[attr-defined]
        wavelength = self._lines.wavelength  # type: ignore[attr-defined]
        for line in self._group:
            out[:, (wavelength - line).abs() < NEAR_ANGSTROM] *= self._factor
        return out


@pytest.mark.parametrize("line", [5008.24, 6564.61, 3727.09])
def test_a_column_is_what_a_brighter_line_does_to_the_flux(model: GalaxyModel, galaxy: Galaxies, line: float) -> None:
    """H alpha of a model 30 % brighter: the flux changes by 0.3 times its share, at a given mass."""
    columns = line_factors(model, galaxy, OPTICAL) / RELATIVE_ERROR
    wave = OPTICAL.wavelength.numpy()
    number = int(np.argmin([abs(wave[own.argmax()] - line * (1 + Z)) for own in columns.T]))
    whole = model.observe(galaxy, OPTICAL)
    fixed, lines = replace(galaxy, log_formed_mass=whole.log_formed_mass), model.lines
    group = next(g for g in LINES if line in g)
    model.lines = Brightened(lines, group, 1.3)  # type: ignore[assignment]
    try:
        brighter = model.observe(fixed, OPTICAL).flux[0]
    finally:
        model.lines = lines
    change = (brighter / whole.flux[0] - 1).double().numpy()
    assert change.max() > 0.05
    np.testing.assert_allclose(0.3 * columns[:, number], change, atol=2e-4)


def test_columns_are_shares_at_the_places_of_lines(model: GalaxyModel, galaxy: Galaxies) -> None:
    columns = line_factors(model, galaxy, OPTICAL)
    wave = OPTICAL.wavelength.numpy()
    known = np.concatenate(LINES) * (1 + Z)
    assert columns.shape[1] >= 8
    assert np.all(columns <= RELATIVE_ERROR + 1e-6)
    assert np.all(columns >= -1e-4)
    for own in columns.T:
        assert np.abs(known - wave[own.argmax()]).min() < 4
    np.testing.assert_allclose(line_factors(model, galaxy, OPTICAL, 0.3), 2 * columns, atol=1e-9)


def test_no_lines_no_columns(model: GalaxyModel, galaxy: Galaxies) -> None:
    assert line_factors(model, galaxy, OPTICAL, 0.0).shape == (len(OPTICAL.wavelength), 0)
    between = pixels_of(5350, 5900)
    assert line_factors(model, galaxy, between).shape == (len(between.wavelength), 0)


def test_the_model_gets_its_lines_back(model: GalaxyModel, galaxy: Galaxies, monkeypatch: pytest.MonkeyPatch) -> None:
    lines, flux = model.lines, model.observe(galaxy, OPTICAL).flux
    line_factors(model, galaxy, OPTICAL)
    assert model.lines is lines
    assert torch.equal(model.observe(galaxy, OPTICAL).flux, flux)
    observe, calls = model.observe, []

    def failing(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("no")
        return observe(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "observe", failing)
    with pytest.raises(RuntimeError, match="no"):
        line_factors(model, galaxy, OPTICAL)
    assert model.lines is lines


def test_each_arm_gets_the_columns_it_sees() -> None:
    errors = (ArmErrors(0, 4, np.ones((4, 1)), np.zeros((4, 0))), ArmErrors(4, 10, np.ones((6, 2)), np.ones((6, 1))))
    pixels = pixels_of(5000, 5022)
    spectrum = Spectrum(torch.ones(10), torch.ones(10), pixels, errors, False)
    columns = np.zeros((10, 3))
    columns[1, 0], columns[3:6, 1] = 0.1, 0.2
    first, second = spectrum.with_factors(columns).errors
    np.testing.assert_array_equal(first.factors, np.column_stack([np.ones(4), columns[:4, :2]]))
    np.testing.assert_array_equal(second.factors, np.column_stack([np.ones((6, 2)), columns[4:, 1]]))
    np.testing.assert_array_equal(second.terms, errors[1].terms)
    assert [(e.start, e.stop) for e in (first, second)] == [(0, 4), (4, 10)]
