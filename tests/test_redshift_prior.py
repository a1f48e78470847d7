"""What a user may say of the redshift, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from galfit_ml.errors import PriorError
from galfit_ml.redshift_prior import RedshiftPrior, RedshiftPriors


def only(value: Any) -> RedshiftPrior:
    priors = RedshiftPriors.parse(value, 3)
    assert len(priors) == 3
    assert len(set(priors)) == 1
    return priors[0]


def test_nothing_said_leaves_the_redshift_free() -> None:
    assert only(None).free
    assert RedshiftPriors.free(3)[2].free


@pytest.mark.parametrize("value", [0.7, np.float32(0.7), np.array(0.7)])
def test_a_number_fixes_it(value: Any) -> None:
    prior = only(value)
    assert prior.fixed
    assert prior.low == pytest.approx(0.7)


def test_zero_is_a_number_too() -> None:
    assert only(0.0).fixed
    assert not only(0.0).free


def test_a_tuple_of_two_is_a_range() -> None:
    prior = only((0.5, 1.2))
    assert (prior.low, prior.high, prior.fixed, prior.free) == (0.5, 1.2, False, False)


def test_the_density_of_a_range_is_flat_inside_and_nothing_outside() -> None:
    np.testing.assert_array_equal(only((0.5, 1.2)).log_density([0.4, 0.5, 1.0, 1.2, 1.3]), [-np.inf, 0, 0, 0, -np.inf])


def test_a_distribution_brings_its_density_cut_at_zero() -> None:
    frozen = stats.norm(0.1, 0.2)
    prior = only(frozen)
    z = np.array([-0.1, 0.0, 0.3])
    np.testing.assert_allclose(prior.log_density(z), [-np.inf, *frozen.logpdf(z[1:])])
    assert (prior.low, prior.high) == (0.0, np.inf)


def test_a_bounded_distribution_brings_its_range() -> None:
    prior = only(stats.uniform(0.5, 0.7))
    assert (prior.low, prior.high) == pytest.approx((0.5, 1.2))


@pytest.mark.parametrize("kind", [list, np.array])
def test_a_list_or_array_holds_one_for_each_spectrum(kind: Any) -> None:
    priors = RedshiftPriors.parse(kind([0.1, 0.2, 0.3]), 3)
    assert [p.low for p in priors] == pytest.approx([0.1, 0.2, 0.3])
    assert all(p.fixed for p in priors)


def test_a_list_may_mix_kinds() -> None:
    priors = RedshiftPriors.parse([None, 0.2, (0.1, 0.4), stats.norm(0.3, 0.1)], 4)
    assert [p.free for p in priors] == [True, False, False, False]
    assert [p.fixed for p in priors] == [False, True, False, False]
    assert priors.take([3, 1])[1].low == 0.2


def test_a_list_of_two_numbers_for_two_spectra_is_not_a_range() -> None:
    assert [p.fixed for p in RedshiftPriors.parse([0.5, 1.2], 2)] == [True, True]


@pytest.mark.parametrize("value", [[0.1, 0.2], [0.5], [], np.zeros(4)])
def test_a_list_of_another_length_is_refused_with_both_numbers(value: Any) -> None:
    with pytest.raises(PriorError, match=rf"{len(value)} entries for 3 spectra.*tuple \(low, high\)"):
        RedshiftPriors.parse(value, 3)


@pytest.mark.parametrize("value", ["high", np.nan, (0.1, 0.2, 0.3), (0.1, np.inf), {"low": 1}, object(), ()])
def test_what_is_no_redshift_is_refused_with_what_could_be_said(value: Any) -> None:
    with pytest.raises(PriorError, match="not understood. Give None, a number"):
        RedshiftPriors.parse(value, 1)


@pytest.mark.parametrize("value", [-0.1, (1.2, 0.5), (-1.0, 0.5)])
def test_an_empty_or_negative_range_is_refused_with_examples(value: Any) -> None:
    with pytest.raises(PriorError, match=r"empty or negative. Give redshift=0.7"):
        RedshiftPriors.parse(value, 1)


def test_a_distribution_without_positive_redshifts_is_refused() -> None:
    with pytest.raises(PriorError, match="no probability at redshift > 0"):
        RedshiftPriors.parse(stats.uniform(-2.0, 1.0), 1)


def test_the_overlap_with_a_model_is_taken() -> None:
    assert only((0.5, 3.0)).within(0.0, 1.2, "sdss") == (0.5, 1.2)
    assert only(0.7).within(0.0, 1.2, "sdss") == (0.7, 0.7)


@pytest.mark.parametrize(("value", "said"), [(7.0, "redshift=7"), ((6.5, 8.0), r"\(6.5, 8\)")])
def test_a_prior_outside_the_model_is_named_with_the_range_of_the_model(value: Any, said: str) -> None:
    with pytest.raises(PriorError, match=rf"{said}.*outside what the galaxy model covers \(0 to 6\)"):
        only(value).within(0.0, 6.0, "the galaxy model")
