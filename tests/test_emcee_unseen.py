"""Coordinates a spectrum cannot see: found by the lines they move, and left out of what is sampled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.pixels import Pixels
from galfit_ml.simulate.prior import COORDINATES, GalaxyPrior, coordinate
from galfit_ml_emcee.likelihood import N_DIM
from galfit_ml_emcee.optimise import Start
from galfit_ml_emcee.target import Target
from galfit_ml_emcee.unseen import LINES_OF, unseen


def pixels_of(*arms: tuple[float, float]) -> Pixels:
    edges = [np.arange(low, high, 3.0) for low, high in arms]
    wave = np.concatenate([0.5 * (e[1:] + e[:-1]) for e in edges])
    return Pixels.from_arrays(wave, edges, wave / 3000 / 2.355, (edges[0][0], edges[-1][-1]))


CASES = {
    "optical, nearby": ((0.09, 0.11), ((3800, 9200),), {"lya_escape", "log_ism_depth", "ism_velocity"}),
    "between the lines": ((0.09, 0.11), ((4300, 5900),), set(LINES_OF)),
    "MOONS, z 2.4": ((2.38, 2.42), ((6470, 9340), (9340, 13500), (14520, 18000)), {"lya_escape", "log_sodium"}),
    "MOONS, z 4.8": ((4.78, 4.82), ((6470, 9340), (9340, 13500), (14520, 18000)), {"log_density", "log_sodium"}),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_unseen_moves_no_pixel_and_the_rest_does(name: str) -> None:
    limits, arms, expected = CASES[name]
    prior, pixels, model = GalaxyPrior(limits, (17.0, 20.0)), pixels_of(*arms), GalaxyModel()
    found = unseen(prior, pixels)
    assert {COORDINATES[i] for i in found} == expected
    cube = torch.full((1, prior.n_dim), 0.5, dtype=torch.float64)
    cube[0, coordinate("log_ssfr")] = 0.9
    for key in LINES_OF:
        low, high = cube.clone(), cube.clone()
        low[0, coordinate(key)], high[0, coordinate(key)] = 0.02, 0.98
        if key == "ism_velocity":
            low[0, coordinate("log_ism_depth")] = high[0, coordinate("log_ism_depth")] = 0.95
        fluxes = [model.observe(prior.transform(c), pixels).flux for c in (low, high)]
        assert torch.equal(*fluxes) == (coordinate(key) in found), key


class Gaussian:
    """Stands for a likelihood: a unit Gaussian in the coordinates it sees, and no model."""

    unseen = (3, 7)

    def __init__(self) -> None:
        self.asked: list[torch.Tensor] = []

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.asked.append(x)
        seen = [i for i in range(N_DIM) if i not in self.unseen]
        return -0.5 * (x[:, seen] ** 2).sum(1)


def test_what_is_unseen_or_given_stays_at_the_best_start() -> None:
    likelihood: Any = Gaussian()
    best = torch.linspace(0.0, 0.27, N_DIM).double()
    start = Start(torch.stack([best, best + 1]), torch.tensor([2.0, 1.0]), torch.eye(N_DIM).double().repeat(2, 1, 1))
    target = Target.of(likelihood, start, fixed=(5, 7))
    assert target.free == [i for i in range(N_DIM) if i not in {3, 5, 7}]
    points = np.random.default_rng(0).standard_normal((4, 6, N_DIM - 3))
    full = target.full(points)
    assert full.shape == (4, 6, N_DIM)
    np.testing.assert_array_equal(full[..., target.free], points)
    np.testing.assert_array_equal(full[..., [3, 5, 7]], np.broadcast_to(best[[3, 5, 7]].numpy(), (4, 6, 3)))
    np.testing.assert_allclose(target.log_density(points[0]), -0.5 * (full[0][:, target.free] ** 2).sum(1) - 0.00125)
    assert torch.equal(likelihood.asked[0], torch.as_tensor(full[0]))
