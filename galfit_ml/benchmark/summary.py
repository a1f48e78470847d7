"""Rows as lines of text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from galfit_ml.benchmark.comparison import parts_alone
from galfit_ml.benchmark.scoring import LEAST

SHOWN = {
    ("redshift", "success"): "redshift right",
    ("redshift", "nmad"): "redshift NMAD",
    ("redshift", "crps"): "redshift CRPS",
    ("log_stellar_mass", "crps"): "mass CRPS",
    ("log_sfr", "crps"): "SFR CRPS",
    ("log_metallicity", "crps"): "metallicity CRPS",
    ("redshift", "coverage_68"): "coverage 68 %: redshift",
    ("log_stellar_mass", "coverage_68"): "coverage 68 %: mass",
    ("log_sfr", "coverage_68"): "coverage 68 %: SFR",
    ("all", "tarp_ks"): "TARP: largest deviation",
    ("all", "tarp_ks_chance"): "  the same by chance",
    ("", "answered"): "share answered",
    ("", "rate"): "spectra per s, whole run",
}
"""(parameter, metric) -> how it is called here."""


def summary(rows: pd.DataFrame) -> Iterator[str]:
    """A table of the main numbers of one suite: a line a number, a column a backend."""
    whole = _whole(rows)
    backends = sorted(set(whole["backend"]))
    yield f"{'':26s}" + "".join(f"{name:>20s}" for name in backends)
    asked = whole[whole["metric"] == "rate"].set_index("backend")["n"]
    if len(asked):
        yield f"{'spectra':26s}" + "".join(f"{asked.get(name, '-')!s:>20s}" for name in backends)
        if asked.max() < LEAST:
            yield f"Fewer than {LEAST} spectra: too few for any number but the speed. Ask for more with --n."
    for (parameter, metric), label in SHOWN.items():
        own = whole[(whole["parameter"] == parameter) & (whole["metric"] == metric)].set_index("backend")
        if len(own):
            yield f"{label:26s}" + "".join(f"{_number(own, name):>20s}" for name in backends)
    batches = rows[(rows["metric"] == "rate") & rows["axis"].str.startswith("batch")]
    for (axis, size), part in batches.groupby(["axis", "low"], sort=False):
        own = part.set_index("backend")
        label = f"1/s, {axis.removeprefix('batch, ')}, batch {size:g}"
        yield f"{label:26s}" + "".join(f"{_number(own, name):>20s}" for name in backends)


def _whole(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of all spectra; those of the first part, and the rate, where a suite has the same galaxies in every part."""
    whole = rows[rows["axis"] == "all"]
    if not parts_alone(rows):
        return whole
    parts = rows[rows["axis"] == "part"]
    return pd.concat([whole[whole["metric"] == "rate"], parts[parts["bin"] == parts["bin"].iloc[0]]])


def _number(own: pd.DataFrame, name: str) -> str:
    if name not in own.index:
        return "-"
    value, error = float(own.loc[name, "value"]), float(own.loc[name, "error"])
    return f"{value:.4g}" if not np.isfinite(error) else f"{value:.4g} ± {error:.1g}"


def changes(found: pd.DataFrame, *, everything: bool) -> Iterator[str]:
    """Lines of a comparison, the most significant first."""
    shown = found if everything else found[found["verdict"] != ""]
    for _, row in shown.sort_values("p").iterrows():
        name = " ".join(str(row[k]) for k in ("suite", "backend", "parameter", "bin", "metric") if row.get(k))
        line = f"{name}: {row['value_first']:.4g} -> {row['value_second']:.4g}"
        yield f"{line} ({row['difference']:+.3g} ± {row['error']:.2g}, p {row['p']:.1g}) {row['verdict']}".rstrip()
    better, worse = ((found["verdict"] == verdict).sum() for verdict in ("better", "worse"))
    yield f"{len(found)} rows in common: {better} better, {worse} worse, the others as before within their errors"
