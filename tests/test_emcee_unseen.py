"""Coordinates a spectrum cannot see: found by the lines they move, left out of the chain, drawn from the prior."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.pixels import Pixels
from galfit_ml.simulate.prior import COORDINATES, GalaxyPrior, coordinate
from galfit_ml_emcee.likelihood import N_DIM
from galfit_ml_emcee.optimise import Start
from galfit_ml_emcee.sampler import SamplerSettings, sample
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


def test_the_chain_holds_draws_of_the_prior_for_what_is_unseen() -> None:
    likelihood = Gaussian()
    start = Start(torch.zeros(1, N_DIM).double(), torch.zeros(1).double(), torch.eye(N_DIM).double()[None])
    settings = SamplerSettings(2 * N_DIM, n_adapt=1, n_burn=20, max_steps=100, n_autocorr=1.0)
    chain = sample(likelihood, start, np.random.default_rng(3), settings, fixed=(5, 7))  # type: ignore[arg-type]
    assert all(bool((x[:, [3, 5, 7]] == 0).all()) for x in likelihood.asked)
    assert stats.kstest(chain.x[..., 3].ravel(), "norm").pvalue > 1e-3
    assert bool((chain.x[..., [5, 7]] == 0).all())  # what is given stays as it is given
    assert abs(np.corrcoef(chain.x[..., 3].ravel(), chain.x[..., 0].ravel())[0, 1]) < 0.05
