"""`Posterior`: summaries against numpy, selection, joining, and refusal of nonsense."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from posterior_samples import CENTRE, REASON, SPREAD, TARGETS, sample_draws, sample_fit, sample_posterior

from galfit_ml.errors import UnknownNameError
from galfit_ml.flags import Flag
from galfit_ml.posterior import Posterior, concatenate


def test_draws_are_found_by_name() -> None:
    posterior = sample_posterior()
    assert posterior["log_sfr"].shape == (3, 400)
    np.testing.assert_array_equal(posterior["log_sfr"], posterior.draws[:, :, 2])


def test_unknown_parameter_is_suggested() -> None:
    with pytest.raises(UnknownNameError, match="No parameter 'redshif'. Did you mean 'redshift'?"):
        sample_posterior()["redshif"]


def test_summaries_recover_the_gaussian_they_were_drawn_from() -> None:
    posterior = sample_posterior(n=1, n_draws=4000)
    sigma = SPREAD["redshift"]
    assert posterior.median()["redshift"][0] == pytest.approx(CENTRE["redshift"], abs=4 * 1.25 * sigma / 4000**0.5)
    low, high = posterior.interval(0.6827)["redshift"][0]
    assert high - low == pytest.approx(2 * sigma, rel=0.06)
    assert posterior.interval(0.95)["redshift"].shape == (1, 2)


def test_quantiles_are_numpy_s_row_by_row() -> None:
    posterior = sample_posterior()
    expected = np.quantile(posterior.draws[1, :, 1], [0.05, 0.3])
    np.testing.assert_array_equal(posterior.quantile("log_stellar_mass", [0.05, 0.3])[1], expected)
    assert posterior.quantile("log_stellar_mass", 0.3).shape == (3,)


def test_a_failed_row_is_nan_in_every_summary() -> None:
    posterior = sample_posterior()
    assert list(posterior.ok) == [True, True, False]
    assert np.isnan(posterior.median()["redshift"][2])
    assert np.isnan(posterior.interval()["redshift"][2]).all()
    centres, density = posterior.pdf("redshift")
    assert np.isnan(centres[2]).all()
    assert np.isnan(density[2]).all()


@pytest.mark.parametrize("level", [0, 1, 68, -0.1, float("nan")])
def test_a_level_outside_0_to_1_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="Write 0.68 for 68 %"):
        sample_posterior().interval(level)


def test_pdf_integrates_to_one_and_peaks_where_the_draws_are() -> None:
    centres, density = sample_posterior(n=1, n_draws=4000).pdf("log_sfr", bins=40)
    assert centres.shape == density.shape == (1, 40)
    assert np.sum(density[0]) * (centres[0, 1] - centres[0, 0]) == pytest.approx(1.0, abs=1e-9)
    assert np.average(centres[0], weights=density[0]) == pytest.approx(CENTRE["log_sfr"], abs=0.05)


def test_pdf_of_a_fixed_parameter_is_one_spike() -> None:
    posterior = sample_posterior(n=1)
    posterior.draws[:, :, 0] = 0.7
    centres, density = posterior.pdf("redshift", bins=11)
    assert (density[0] > 0).sum() == 1
    assert centres[0, density[0].argmax()] == pytest.approx(0.7, abs=1e-6)


def test_selection_keeps_everything_that_belongs_to_a_row() -> None:
    posterior = sample_posterior()
    part = posterior[[2, 0]]
    assert part.ids == ("galaxy-2", "galaxy-0")
    assert part.reasons == (REASON, "")
    np.testing.assert_array_equal(part.draws[1], posterior.draws[0])
    np.testing.assert_array_equal(part.flags, posterior.flags[[2, 0]])
    np.testing.assert_array_equal(part.embedding, posterior.embedding[[2, 0]])
    np.testing.assert_array_equal(part.diagnostics["ess"], posterior.diagnostics["ess"][[2, 0]])
    np.testing.assert_array_equal(part.best_fit.flux, posterior.best_fit.flux[[2, 0]])
    assert part.provenance == posterior.provenance


def test_index_slice_mask_and_iteration() -> None:
    posterior = sample_posterior()
    assert posterior[-1].ids == ("galaxy-2",)
    assert posterior[:2].ids == ("galaxy-0", "galaxy-1")
    assert posterior[posterior.ok].ids == ("galaxy-0", "galaxy-1")
    assert [row.ids[0] for row in posterior] == list(posterior.ids)
    with pytest.raises(IndexError, match="Spectrum 3 asked for, but this posterior holds 3"):
        posterior[3]


def test_units_are_dex_for_logarithms_of_quantities() -> None:
    assert sample_posterior().units == {
        "redshift": "",
        "log_stellar_mass": "dex(solMass)",
        "log_sfr": "dex(solMass / yr)",
        "log_metallicity": "",
        "gas_metallicity": "",
    }


def test_repr_says_what_it_is() -> None:
    assert repr(sample_posterior()) == (
        "<Posterior of 3 spectra, 400 draws of redshift, log_stellar_mass, log_sfr, log_metallicity, "
        "gas_metallicity (emcee)>"
    )


def test_failed_rows_carry_their_reasons() -> None:
    posterior = Posterior.failed(TARGETS, 10, ["a", "b"], ["no overlap", "all NaN"], flags=int(Flag.LOW_SNR))
    assert posterior.draws.shape == (2, 10, 5)
    assert np.isnan(posterior.draws).all()
    assert not posterior.ok.any()
    assert posterior.reasons == ("no overlap", "all NaN")
    assert (posterior.flags & Flag.LOW_SNR).all()


def test_joining_keeps_order_and_pads_shorter_fits_with_nan() -> None:
    first, second = sample_posterior(2), sample_posterior(3)
    second = replace(second, best_fit=sample_fit(3, n_pix=800), provenance={"backend": "cnn", "instrument": "boss"})
    joined = concatenate([first, second])
    assert joined.ids == first.ids + second.ids
    np.testing.assert_array_equal(joined.draws, np.concatenate([first.draws, second.draws]))
    assert joined.best_fit.flux.shape == (5, 1200)
    assert np.isnan(joined.best_fit.wavelength[2:, 800:]).all()
    assert not joined.best_fit.good[2:, 800:].any()
    np.testing.assert_array_equal(joined.best_fit.model[2:, :800], second.best_fit.model)
    assert joined.provenance["backend"] == "emcee; cnn"
    assert joined.provenance["instrument"] == "boss"


def test_joining_with_rows_that_have_nothing_but_a_reason() -> None:
    failed = Posterior.failed(TARGETS, 400, ["x"], [REASON])
    joined = concatenate([failed, sample_posterior(2)])
    assert np.isnan(joined.best_fit.wavelength[0]).all()
    assert joined.best_fit.n_good[0] == 0
    assert np.isnan(joined.embedding[0]).all()
    assert np.isnan(joined.diagnostics["ess"][0])
    assert joined.take([1, 2]).diagnostics["ess"].tolist() == sample_posterior(2).diagnostics["ess"].tolist()


def test_joining_what_does_not_match_is_refused() -> None:
    with pytest.raises(ValueError, match="different parameters or numbers of draws"):
        concatenate([sample_posterior(1, 10), sample_posterior(1, 20)])


def test_shapes_that_contradict_each_other_are_refused() -> None:
    good = sample_posterior(2)
    with pytest.raises(ValueError, match=r"draws must be \[2, n_draws, 5\]"):
        replace(good, draws=good.draws[:, :, :4])
    with pytest.raises(ValueError, match="flags, reasons and diagnostics must have 2 rows"):
        replace(good, diagnostics={"ess": np.zeros(3)})
    with pytest.raises(ValueError, match="best_fit, embedding, histories and trace must have 2 rows"):
        replace(good, best_fit=sample_fit(3))
    with pytest.raises(ValueError, match="must share one shape"):
        replace(good.best_fit, flux=good.best_fit.flux[:, :-1])
    with pytest.raises(ValueError, match="must have 2 rows"):
        replace(good.best_fit, chi2=np.zeros(5))


def test_pandas_gets_the_summary_as_numbers() -> None:
    frame = sample_posterior().to_pandas()
    assert list(frame["id"]) == ["galaxy-0", "galaxy-1", "galaxy-2"]
    median = np.median(sample_draws(3, 400)[0, :, 1])
    assert frame["log_stellar_mass_q50"].iloc[0] == pytest.approx(median)
    assert frame["flag_names"].iloc[0] == "LOW_SNR|LSF_ASSUMED"
