"""The table of galaxy parameters."""

from __future__ import annotations

import dataclasses
import math

import pytest

from galfit_ml.errors import UnknownNameError
from galfit_ml.parameters import GALAXY, TARGETS, Parameter, ParameterSet


def test_every_backend_reports_these_five() -> None:
    assert TARGETS.names == ("redshift", "log_stellar_mass", "log_sfr", "log_metallicity", "gas_metallicity")


@pytest.mark.parametrize("parameter", GALAXY, ids=lambda p: p.name)
def test_units_are_ones_astropy_understands(parameter: Parameter) -> None:
    from astropy import units as u

    unit = u.Unit(parameter.column_unit)
    assert parameter.is_log == parameter.name.startswith("log_")
    assert unit == (u.dex(u.Unit(parameter.unit)) if parameter.is_log and parameter.unit else u.Unit(parameter.unit))


def test_only_quantities_proportional_to_the_flux_need_its_scale() -> None:
    assert {p.name for p in GALAXY if p.needs_flux_scale} == {"log_stellar_mass", "log_sfr"}


def test_a_parameter_set_is_indexed_by_name_and_position() -> None:
    assert GALAXY["dust_av"] is GALAXY[GALAXY.index("dust_av")]
    assert "dust_av" in GALAXY
    assert "dust" not in GALAXY
    assert len(list(GALAXY)) == len(GALAXY) == len(GALAXY.names)


def test_selecting_keeps_the_order_asked_for() -> None:
    assert GALAXY.select("log_age", "redshift").names == ("log_age", "redshift")


@pytest.mark.parametrize("look_up", [GALAXY.index, GALAXY.__getitem__, GALAXY.select])
def test_an_unknown_parameter_is_named_with_a_suggestion(look_up: object) -> None:
    with pytest.raises(UnknownNameError, match="No parameter 'redshif'. Did you mean 'redshift'?"):
        look_up("redshif")  # type: ignore[operator]


def test_names_must_be_unique() -> None:
    with pytest.raises(ValueError, match="unique"):
        ParameterSet((GALAXY["redshift"], GALAXY["redshift"]))


@pytest.mark.parametrize("limits", [(1.0, 1.0), (2.0, 1.0), (math.nan, 1.0), (0.0, math.inf)])
def test_limits_must_be_finite_and_in_order(limits: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="finite low < high"):
        Parameter("x", "", *limits, "x", "")


def test_names_must_be_identifiers() -> None:
    with pytest.raises(ValueError, match="not an identifier"):
        Parameter("log mass", "", 0.0, 1.0, "x", "")


def test_parameters_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        GALAXY["redshift"].low = 1.0  # type: ignore[misc]
