"""What a metric is measured in, and what is better."""

from __future__ import annotations

from galfit_ml.parameters import GALAXY

HIGHER = {"success", "success_abs_0.01", "success_0.01", "retention", "answered"}
LOWER = {"outliers", "pit_ks", "tarp_ks"}


def described(parameter: str, metric: str) -> tuple[str, str]:
    """Unit and direction of a metric of a parameter."""
    if metric in HIGHER:
        return "", "higher"
    if metric.startswith("coverage_"):
        return "", f"target:{float(metric.rpartition('_')[2]) / 100:g}"
    if metric in LOWER:
        return "", "lower"
    if metric == "pull_width":
        return "", "target:1"
    unit = "" if parameter == "redshift" or parameter not in GALAXY.names else GALAXY[parameter].column_unit
    return unit, "target:0" if metric == "bias" else "lower"
