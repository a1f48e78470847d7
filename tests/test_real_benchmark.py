"""The evaluation on real spectra: the folder's format, its errors, and the scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.real import tables
from benchmarks.real.__main__ import main
from benchmarks.real.scores import QUANTITIES, compared, warned, wilson
from galfit_ml.benchmark.real_folder import read_real, sets_of, synthetic_r
from galfit_ml.errors import FileFormatError
from galfit_ml.flags import Flag
from galfit_ml.instruments import get_instrument
from galfit_ml.spectra import SpectrumBatch

META = [("file", "U20"), ("plate", "i4"), ("z", "f8"), ("class", "U8"), ("subclass", "U20"), ("zwarn", "i4")]


def arrays() -> dict[str, Any]:
    meta = np.array([("a", 300, 0.1, "GALAXY", "", 0), ("b", 4000, 0.2, "STAR", "", 0)], dtype=META)
    flux = np.ones((2, 4000), dtype=np.float32)
    return {"flux": flux, "ivar": flux, "loglam0": 3.56, "dloglam": 1e-4, "meta": meta}


def write(folder: Path, name: str = "some", **change: Any) -> Path:
    kept = {key: value for key, value in {**arrays(), **change}.items() if value is not None}
    np.savez(folder / f"{name}.npz", **kept)
    return folder


def test_a_set_is_read_by_instrument(tmp_path: Path) -> None:
    found = read_real(write(tmp_path), "some")
    assert {name: list(rows) for name, (rows, _) in found.batches.items()} == {"sdss": [0], "boss": [1]}
    assert list(found.known["id"]) == ["a", "b"]


def test_what_a_folder_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"a file NAME.npz for each set was expected, with the arrays flux, ivar"):
        sets_of(tmp_path)
    write(tmp_path, ivar=None)
    with pytest.raises(FileFormatError, match="lacks the arrays ivar"):
        read_real(tmp_path, "some")
    write(tmp_path, meta=arrays()["meta"][["file", "z"]])
    with pytest.raises(FileFormatError, match="lacks the fields of 'meta' class"):
        read_real(tmp_path, "some")
    write(tmp_path)
    pd.DataFrame({"type": ["E"]}).to_csv(tmp_path / "some_truth.csv", index=False)
    with pytest.raises(FileFormatError, match="has 1 rows for 2 spectra"):
        read_real(tmp_path, "some")


def test_the_command_tells_an_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path), "--out", str(tmp_path / "out"), "--backend", "emcee"]) == 2
    assert "There are no spectra in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"), [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1)]
)
def test_wilsons_interval(hits: int, n: int, low: float, high: float) -> None:
    assert wilson(hits, n) == pytest.approx((low, high), abs=1e-4)


def test_the_synthetic_magnitude_of_a_flat_spectrum() -> None:
    wave = np.linspace(4000, 9000, 5000)
    f_nu = 10 ** (-0.4 * (17.0 + 48.6))
    flux = f_nu * 2.99792458e18 / wave**2 / 1e-17
    batch = SpectrumBatch.from_arrays(wave, flux[None], np.ones((1, 5000)), get_instrument("sdss"))
    assert synthetic_r(batch)[0] == pytest.approx(17.0, abs=1e-3)


def made_up(n: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"set": "sdss_cosmicds", "z": np.full(n, 0.1), "class": "GALAXY", "subclass": "", "zwarn": 0})
    frame["id"], frame["zerr"], frame["z_sigma"] = [f"s{i}" for i in range(n)], 1e-6, 2e-5
    frame["z_error"] = 2e-5 * rng.standard_normal(n)
    frame.loc[3, "z_error"] = 0.01
    frame["flags"] = 0
    frame.loc[3, "flags"] = int(Flag.OUT_OF_DISTRIBUTION)
    for name in ("redshift_1", "redshift_probability_1", "signal_to_noise"):
        frame[name] = 1.0
    mass = 10 + rng.standard_normal(n)
    frame["log_stellar_mass"], frame["log_stellar_mass_low"], frame["log_stellar_mass_high"] = (
        mass,
        mass - 0.1,
        mass + 0.1,
    )
    frame["r_total"], frame["r_synthetic"] = 15.0, 17.5
    frame["logM_any"], frame["type"] = mass + 1.0 - 0.06, "E"
    return frame


def test_tables_hold_the_miss_and_the_flag() -> None:
    frame = made_up()
    assert "| 1 |" in tables.redshifts(frame)[2]
    assert tables.misses(frame)[2].startswith("| s3 |")
    assert "1 = 2.5 %" in tables.flagged(frame)[2]
    assert warned(frame).sum() == 1


def test_masses_are_those_of_the_whole_galaxy() -> None:
    value, error, catalogue = compared(made_up(), QUANTITIES[0])
    np.testing.assert_allclose(value, catalogue, atol=0.005)
    np.testing.assert_allclose(error, 0.1)
    lines = tables.properties(made_up())
    assert "| 40 | " in lines[2]
    assert any("no column logSFR_any" in line for line in lines)
    assert any(line.startswith("| 12 + log O/H | no column oh_O3N2_pp04") for line in lines)
