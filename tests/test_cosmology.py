"""The cosmology table against astropy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from galfit_ml.errors import PriorError
from galfit_ml.simulate.cosmology import Cosmology


@pytest.fixture(scope="module")
def redshifts() -> np.ndarray:
    near = np.random.default_rng(1).uniform(0.0, 0.05, 500)
    return np.concatenate([np.geomspace(1e-4, 7.999, 2000), near, [8.0]])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", ["Planck18", "flat"])
def test_agrees_with_astropy(redshifts: np.ndarray, name: str, dtype: torch.dtype) -> None:
    from astropy.cosmology import FlatLambdaCDM, Planck18

    reference = Planck18 if name == "Planck18" else FlatLambdaCDM(70, 0.3)
    table = Cosmology.default() if name == "Planck18" else Cosmology.from_astropy(reference)
    z = torch.tensor(redshifts, dtype=dtype)
    distance, age = table.luminosity_distance_cm(z), table.age_yr(z)
    assert distance.dtype == age.dtype == dtype
    assert np.allclose(distance.double(), reference.luminosity_distance(redshifts).to_value("cm"), rtol=1e-5, atol=0)
    assert np.allclose(age.double(), reference.age(redshifts).to_value("yr"), rtol=1e-5, atol=0)


def test_distance_is_differentiable_and_zero_here() -> None:
    z = torch.tensor([0.0, 0.1, 1.0], dtype=torch.float64, requires_grad=True)
    distance = Cosmology.default().luminosity_distance_cm(z)
    (slope,) = torch.autograd.grad(distance.sum(), z)
    step = 1e-5
    shifted = Cosmology.default().luminosity_distance_cm(z.detach() + step)
    assert distance[0] == 0
    assert torch.allclose(slope, (shifted - distance.detach()) / step, rtol=1e-4)


def test_keeps_the_shape() -> None:
    assert Cosmology.default().luminosity_distance_cm(torch.full((3, 4), 0.5)).shape == (3, 4)


@pytest.mark.parametrize("z", [-0.01, 8.1])
def test_redshift_outside_the_table(z: float) -> None:
    with pytest.raises(PriorError, match="covers 0 to 8.*narrow the redshift prior"):
        Cosmology.default().age_yr(torch.tensor([0.5, z]))


def test_refuses_a_table_that_cannot_be_interpolated() -> None:
    z = torch.linspace(0.0, 8.0, 50, dtype=torch.float64)
    with pytest.raises(ValueError, match="uniform in ln"):
        Cosmology(z, z, torch.ones_like(z))
    z = torch.expm1(torch.linspace(0.0, 2.0, 50, dtype=torch.float64))
    with pytest.raises(ValueError, match="must increase"):
        Cosmology(z, torch.ones_like(z), torch.ones_like(z))
    with pytest.raises(ValueError, match="one luminosity distance"):
        Cosmology(z, z[:-1], z)
