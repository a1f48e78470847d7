"""Exports: what ArviZ and qp read is what the posterior says."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from companion_samples import sample_trace, whole_posterior
from conftest import ROOT
from posterior_samples import GALAXY, sample_posterior

from galfit_ml.errors import (
    FileFormatError,
    GalfitMLError,
    MissingPackageError,
    OutputExistsError,
    SpectrumError,
    UnknownNameError,
)
from galfit_ml.export import qp as qp_export
from galfit_ml.posterior import Posterior

STRANGE = "spec-\udce9\n é.fits"


@pytest.fixture(scope="module")
def arviz() -> Any:
    return pytest.importorskip("arviz", reason="the extra 'arviz' is not installed")


@pytest.fixture(scope="module")
def qp() -> Any:
    return pytest.importorskip("qp", reason="the extra 'qp' is not installed")


def test_every_draw_reaches_arviz_with_its_unit(arviz: Any) -> None:
    posterior = sample_posterior(parameters=GALAXY)
    data = posterior.to_arviz()
    assert set(data.posterior.data_vars) == set(GALAXY.names)
    assert data.posterior["log_sfr"].dims == ("chain", "draw", "spectrum")
    assert data.posterior["log_sfr"].attrs["units"] == "dex(solMass / yr)"
    assert data.posterior["dust_av"].attrs["units"] == "mag"
    assert list(data.posterior["spectrum"].values) == list(posterior.ids)
    for name in GALAXY.names:
        np.testing.assert_array_equal(data.posterior[name].sel(chain=0).transpose(), posterior[name])
    assert data.posterior.attrs["backend"] == "emcee"


def test_flags_and_diagnostics_are_the_sample_stats(arviz: Any) -> None:
    posterior = replace(sample_posterior(), diagnostics={"ess": np.arange(3.0), "flags": np.ones(3)})
    stats = posterior.to_arviz().sample_stats
    assert list(stats["flags"].values) == list(posterior.flags)
    assert list(stats["reason"].values) == list(posterior.reasons)
    assert list(stats["ess"].values) == [0, 1, 2]
    assert list(stats["flags_diagnostic"].values) == [1, 1, 1]


def test_arviz_summarises_what_it_was_given(arviz: Any) -> None:
    posterior = sample_posterior(2, 1000)
    interval = arviz.hdi(posterior.to_arviz(), hdi_prob=0.68)["log_sfr"].sel(spectrum="galaxy-0")
    low, high = posterior.interval(0.68)["log_sfr"][0]
    assert interval.sel(hdi="lower") == pytest.approx(low, abs=0.03)
    assert interval.sel(hdi="higher") == pytest.approx(high, abs=0.03)


def test_walkers_are_chains_that_arviz_judges(arviz: Any) -> None:
    posterior = whole_posterior()
    data = posterior.to_arviz(trace=True)
    assert dict(data.posterior.sizes) == {"chain": 24, "draw": 300, "spectrum": 3}
    steps = data.posterior["redshift"].isel(spectrum=0)
    np.testing.assert_array_equal(steps, posterior.trace.values[0, :, :, 0].T)
    np.testing.assert_array_equal(data.sample_stats["lp"].isel(spectrum=0), posterior.trace.log_density[0].T)
    settled = arviz.rhat(data.posterior.isel(spectrum=0, draw=slice(100, None)))["redshift"]
    begun = arviz.rhat(data.posterior.isel(spectrum=0, draw=slice(0, 30)))["redshift"]
    assert settled < 1.15 < begun


def test_a_trace_that_is_not_there_is_told(arviz: Any) -> None:
    with pytest.raises(GalfitMLError, match=r"no trace of a sampler \(emcee gives none\): leave trace=True out"):
        sample_posterior().to_arviz(trace=True)


def test_netcdf_comes_back_in_arviz(arviz: Any, tmp_path: Path) -> None:
    posterior = replace(sample_posterior(), ids=(STRANGE, "b", "b"), trace=sample_trace(3))
    path = posterior.save(tmp_path / "p.nc")
    data = arviz.from_netcdf(path)
    assert data.posterior.equals(posterior.to_arviz().posterior)
    assert data.sample_stats.equals(posterior.to_arviz().sample_stats)
    assert data.posterior["log_sfr"].attrs["units"] == "dex(solMass / yr)"
    assert list(data.posterior["spectrum"].values) == ["spec-\\udce9\\n é.fits", "b", "b"]


@pytest.fixture
def without_arviz(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    real = importlib.import_module

    def absent(name: str) -> Any:
        if name in {"arviz", "xarray", "h5netcdf"}:
            raise ImportError(f"No module named {name!r}")
        return real(name)

    monkeypatch.setattr("importlib.import_module", absent)


@pytest.mark.usefixtures("without_arviz")
def test_a_missing_library_is_told_with_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(MissingPackageError, match=r'pip install "galfit-ml\[arviz\]"'):
        sample_posterior().to_arviz()
    with pytest.raises(MissingPackageError, match=r'pip install "galfit-ml\[arviz\]"'):
        sample_posterior().save(tmp_path / "p.nc")
    assert list(tmp_path.iterdir()) == []


def two_peaks(n_draws: int = 4000) -> Posterior:
    """A narrow peak, two peaks far apart, a redshift that is fixed, and a row that failed."""
    rng = np.random.default_rng(4)
    posterior = sample_posterior(4, n_draws)
    draws = posterior.draws.copy()
    draws[0, :, 0] = 0.5 + 1e-5 * rng.standard_normal(n_draws)
    draws[1, :, 0] = np.where(rng.random(n_draws) < 0.3, 0.4, 2.1) + 1e-4 * rng.standard_normal(n_draws)
    draws[2, :, 0] = 0.7
    return replace(posterior, draws=draws, ids=("narrow", STRANGE, "fixed", "failed"))


def test_qp_reads_densities_with_the_quantiles_of_the_draws(qp: Any, tmp_path: Path) -> None:
    posterior = two_peaks()
    found = qp.read(posterior.write_qp(tmp_path / "z.qp.hdf5"))
    assert found.npdf == 3
    levels = np.array([0.04, 0.16, 0.5, 0.84, 0.98])
    np.testing.assert_allclose(found.ppf(levels), posterior.quantile("redshift", list(levels))[:3], atol=1e-8)
    wide = found.cdf(np.array([1.0, 1.5, 3.0]))
    assert wide[1] == pytest.approx([0.3, 0.3, 1.0], abs=0.03)
    assert wide[0] == pytest.approx([1.0, 1.0, 1.0])
    near = 0.5 + 1e-5 * np.array([-0.5, 0.5])
    assert found.cdf(near)[0] == pytest.approx([0.3085, 0.6915], abs=0.02)
    assert found.pdf(near)[0] == pytest.approx([3.52e4, 3.52e4], rel=0.15)


def test_qp_integrates_densities_to_one(qp: Any, tmp_path: Path) -> None:
    found = qp.read(two_peaks().write_qp(tmp_path / "z.qp.hdf5"))
    x, y = found.objdata["xvals"], found.objdata["yvals"]
    np.testing.assert_allclose(np.trapezoid(y, x, axis=1), 1.0, rtol=1e-6)


def test_qp_draws_from_a_density_like_the_posterior(qp: Any, tmp_path: Path) -> None:
    posterior = two_peaks()
    drawn = qp.read(posterior.write_qp(tmp_path / "z.qp.hdf5")).rvs(size=4000, random_state=np.random.default_rng(2))
    upper = (drawn[1] > 1.2).mean()
    assert upper == pytest.approx(0.7, abs=0.04)
    assert np.median(drawn[0]) == pytest.approx(0.5, abs=1e-6)


def test_qp_finds_the_rows_names_and_moments(qp: Any, tmp_path: Path) -> None:
    posterior = two_peaks()
    ancil = qp.read(posterior.write_qp(tmp_path / "z.qp.hdf5")).ancil
    assert list(ancil["row"]) == [0, 1, 2]
    assert list(ancil["id"]) == ["narrow", "spec-\\udce9\\n \\xe9.fits", "fixed"]
    assert list(ancil["flags"]) == list(posterior.flags[:3])
    np.testing.assert_allclose(ancil["zmedian"], posterior.median()["redshift"][:3])
    np.testing.assert_allclose(ancil["zmean"], posterior["redshift"][:3].mean(axis=1))
    assert ancil["zstd"][2] == pytest.approx(0.0, abs=1e-12)


def test_any_parameter_goes_to_qp(qp: Any, tmp_path: Path) -> None:
    posterior = sample_posterior(1, 500)
    found = qp.read(posterior.write_qp(tmp_path / "m.qp.hdf5", "log_stellar_mass"))
    assert found.ancil["median"] == pytest.approx(np.median(posterior["log_stellar_mass"][0]))
    assert np.squeeze(found.ppf(0.5)) == pytest.approx(np.median(posterior["log_stellar_mass"][0]))


def test_save_writes_the_redshifts_for_qp(qp: Any, tmp_path: Path) -> None:
    path = sample_posterior().save(tmp_path / "p.qp.hdf5")
    assert qp.read(path).npdf == 2


def test_the_layout_of_qp_needs_no_qp(tmp_path: Path) -> None:
    with h5py.File(two_peaks().write_qp(tmp_path / "z.qp.hdf5")) as file:
        assert file["meta/pdf_name"][0] == b"interp_irregular"
        assert file["data/xvals"].shape == file["data/yvals"].shape == (3, 2 * qp_export.N_BINS)
        assert (np.diff(file["data/xvals"], axis=1) >= 0).all()
        assert (file["data/yvals"][()] > 0).all()


def test_what_makes_no_sense_for_qp_is_refused(tmp_path: Path) -> None:
    posterior = two_peaks(50)
    with pytest.raises(FileFormatError, match=r"ends in \.qp\.hdf5"):
        posterior.write_qp(tmp_path / "z.hdf5")
    with pytest.raises(UnknownNameError, match="Did you mean 'redshift'"):
        posterior.write_qp(tmp_path / "z.qp.hdf5", "redshfit")
    with pytest.raises(SpectrumError, match="No spectrum of this posterior has draws"):
        posterior[3:].write_qp(tmp_path / "z.qp.hdf5")
    posterior.write_qp(tmp_path / "z.qp.hdf5")
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        posterior.write_qp(tmp_path / "z.qp.hdf5")
    posterior[:1].write_qp(tmp_path / "z.qp.hdf5", overwrite=True)


def test_the_python_of_the_page_runs(arviz: Any, qp: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "files.md").read_text()
    names: dict[str, Any] = {"posterior": sample_posterior()}
    for code in re.findall(r"^```python\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL):
        exec(code, names)
    assert {path.name for path in tmp_path.iterdir()} == {"draws.nc", "redshifts.qp.hdf5", "masses.qp.hdf5"}
    assert names["again"].posterior.equals(names["data"].posterior)
    assert names["ensemble"].npdf == 2


@pytest.mark.parametrize(("name", "call"), [("p.nc", "arviz.from_netcdf"), ("p.qp.hdf5", "qp.read")])
def test_an_export_is_no_posterior(tmp_path: Path, name: str, call: str) -> None:
    (tmp_path / name).write_bytes(b"whatever")
    with pytest.raises(FileFormatError, match=rf"not the whole posterior. Read it with {call}"):
        Posterior.load(tmp_path / name)
