"""Intergalactic absorption against recorded values, and the table against the closed form."""

from __future__ import annotations

import pytest
import torch

from galfit_ml.errors import PriorError
from galfit_ml.simulate.igm import LYMAN_ALPHA, igm_transmission, optical_depth

# (redshift, rest wavelength in A, transmission) of the implementation of Inoue et al. (2014) in bagpipes 1.3.6.
RECORDED = (
    (0.5, 905.0, 9.46820105e-01),
    (0.5, 930.5, 9.64208492e-01),
    (0.5, 1000.0, 9.70709602e-01),
    (0.5, 1100.0, 9.75621119e-01),
    (0.5, 1210.0, 9.72682069e-01),
    (1.0, 905.0, 9.21394457e-01),
    (1.0, 930.5, 9.49218316e-01),
    (1.0, 1000.0, 9.58682399e-01),
    (1.0, 1100.0, 9.65638479e-01),
    (1.0, 1210.0, 9.61510705e-01),
    (1.7, 905.0, 8.63445183e-01),
    (1.7, 930.5, 9.14610049e-01),
    (1.7, 1000.0, 9.31997204e-01),
    (1.7, 1100.0, 9.36960878e-01),
    (1.7, 1210.0, 9.11703575e-01),
    (2.5, 905.0, 7.09672342e-01),
    (2.5, 930.5, 8.07609873e-01),
    (2.5, 1000.0, 8.3320801e-01),
    (2.5, 1100.0, 8.44271761e-01),
    (2.5, 1210.0, 7.86076942e-01),
    (3.5, 905.0, 4.34940792e-01),
    (3.5, 930.5, 5.84571935e-01),
    (3.5, 1000.0, 6.3070672e-01),
    (3.5, 1100.0, 6.51625448e-01),
    (3.5, 1210.0, 5.43871114e-01),
    (4.5, 905.0, 1.83141643e-01),
    (4.5, 930.5, 3.25661678e-01),
    (4.5, 1000.0, 3.80413479e-01),
    (4.5, 1100.0, 4.0702247e-01),
    (4.5, 1210.0, 2.7849563e-01),
    (5.2, 905.0, 6.63094241e-02),
    (5.2, 930.5, 1.64648657e-01),
    (5.2, 1000.0, 2.10014292e-01),
    (5.2, 1100.0, 2.46735271e-01),
    (5.2, 1210.0, 1.00890736e-01),
    (6.5, 905.0, 1.40185397e-03),
    (6.5, 930.5, 1.16728118e-02),
    (6.5, 1000.0, 1.98278468e-02),
    (6.5, 1100.0, 2.0980515e-02),
    (6.5, 1210.0, 1.47221405e-03),
)


@pytest.mark.parametrize(("redshift", "wavelength", "recorded"), RECORDED)
def test_closed_form_against_recorded_values(redshift: float, wavelength: float, recorded: float) -> None:
    place = torch.tensor([wavelength, redshift], dtype=torch.float64)
    assert torch.exp(-optical_depth(place[0], place[1])).item() == pytest.approx(recorded, rel=1e-7)


@pytest.mark.parametrize(("redshift", "wavelength", "recorded"), RECORDED)
def test_table_against_recorded_values(redshift: float, wavelength: float, recorded: float) -> None:
    found = igm_transmission(torch.tensor([wavelength]), torch.tensor([redshift]))
    assert found.item() == pytest.approx(recorded, abs=3e-4)


def test_table_against_closed_form_everywhere() -> None:
    """Within 0.2 % outside of 0.2 A around the steps at the Lyman lines."""
    wavelength = torch.arange(900.3, 1215.0, 0.731, dtype=torch.float64)
    redshift = torch.linspace(0.5, 6.99, 40, dtype=torch.float64)
    exact = torch.exp(-optical_depth(wavelength[None], redshift[:, None]))
    error = (igm_transmission(wavelength, redshift) - exact).abs()
    assert float(error.max()) < 4e-3
    assert float((error > 2e-3).double().mean()) < 0.002
    assert float(error.mean()) < 1e-4


def test_nothing_is_absorbed_redward_of_lyman_alpha_or_here() -> None:
    wavelength = torch.tensor([LYMAN_ALPHA + 0.01, 1216.0, 5000.0])
    assert bool((igm_transmission(wavelength, torch.tensor([0.0, 3.0, 7.0])) == 1).all())
    assert igm_transmission(torch.tensor([1000.0]), torch.tensor([0.0])).item() == pytest.approx(1.0)


def test_more_is_absorbed_at_higher_redshift() -> None:
    redshift = torch.linspace(0.5, 7.0, 200)
    transmission = igm_transmission(torch.tensor([1000.0, 1150.0]), redshift)
    assert bool((transmission.diff(dim=0) < 0).all())


def test_wavelengths_per_galaxy_give_the_same_as_shared_ones() -> None:
    wavelength, redshift = torch.linspace(850.0, 1300.0, 50), torch.tensor([1.0, 3.3, 6.0])
    shared = igm_transmission(wavelength, redshift)
    each = igm_transmission(wavelength.repeat(3, 1), redshift)
    assert shared.shape == (3, 50)
    assert torch.equal(shared, each)
    assert wavelength.tolist() == torch.linspace(850.0, 1300.0, 50).tolist()


def test_below_900_a_the_value_there_is_held() -> None:
    transmission = igm_transmission(torch.tensor([500.0, 900.0]), torch.tensor([3.0]))
    assert transmission[0, 0] == transmission[0, 1]


@pytest.mark.parametrize("redshift", [-0.1, 7.5])
def test_redshift_outside_the_table(redshift: float) -> None:
    with pytest.raises(PriorError, match="covers 0 to 7.*narrow the redshift prior"):
        igm_transmission(torch.tensor([1000.0]), torch.tensor([1.0, redshift]))
