"""What metrics, axes and parameters are called in reports, and how numbers are written."""

from __future__ import annotations

import math
from dataclasses import dataclass

from galfit_ml.parameters import GALAXY


@dataclass(frozen=True)
class Metric:
    """A metric for people.

    Args:
        title: name above a panel or in a table.
        meaning: half a sentence below it.
        log: whether its values are drawn on a logarithmic axis.
    """

    title: str
    meaning: str
    log: bool = False


METRICS = {
    "answered": Metric("Answered", "share of spectra with an answer; without one, a redshift counts as wrong"),
    "success": Metric("Redshift success", "share with |Δz| < 0.0033 (1 + z)"),
    "success_abs_0.01": Metric("Redshift success, |Δz| < 0.01", "share with |Δz| < 0.01"),
    "success_0.01": Metric("Redshift success, 1 %", "share with |Δz| < 0.01 (1 + z)"),
    "outliers": Metric("Outliers", "share of estimates far from the truth"),
    "nmad": Metric("Scatter (NMAD)", "1.48 × median absolute deviation of the error", log=True),
    "bias": Metric("Bias", "median of estimate − truth"),
    "scatter": Metric("Scatter (16–84 %)", "half of the central 68 % range of the error", log=True),
    "pull_width": Metric("Pull width", "scatter of error / stated uncertainty; 1 is right"),
    "crps": Metric("CRPS", "continuous ranked probability score: accuracy and sharpness in one", log=True),
    "sharpness": Metric("Sharpness", "median half-width of the stated 68 % interval", log=True),
    "coverage": Metric("Coverage", "share of truths inside less the level, percentage points; below 0 is too narrow"),
    "coverage_50": Metric("Coverage of 50 %", "share of truths inside the stated 50 % interval"),
    "coverage_68": Metric("Coverage of 68 %", "share of truths inside the stated 68 % interval"),
    "coverage_90": Metric("Coverage of 90 %", "share of truths inside the stated 90 % interval"),
    "coverage_95": Metric("Coverage of 95 %", "share of truths inside the stated 95 % interval"),
    "coverage_hpd_68": Metric("Coverage of 68 %, HPD", "share of truths inside the 68 % of highest density"),
    "pit_ks": Metric(
        "PIT deviation", "largest distance of the PIT's distribution from a uniform one; 0.87/√n by chance"
    ),
    "tarp_ks": Metric("TARP deviation", "largest distance of the joint coverage from its level; 0.87/√n by chance"),
    "pit_ks_chance": Metric("PIT deviation by chance", "that of as many calibrated spectra; the error is its spread"),
    "tarp_ks_chance": Metric("TARP deviation by chance", "that of as many calibrated spectra; the error is its spread"),
    "pit": Metric("PIT histogram", "where truths fall in their posteriors; flat is calibrated"),
    "retention": Metric("Retention", "success among the share that is kept, the most certain first"),
    "flagged": Metric("Flagged", "share with a quality flag"),
    "failed": Metric("Failed", "no result"),
    "rate": Metric("Speed", "spectra per second; outside the suite speed, of the whole run", log=True),
    "latency": Metric("Latency", "seconds for one call", log=True),
    "memory": Metric("Memory", "largest use, MB; without that of worker processes", log=True),
}

AXES = {
    "snr": "S/N per pixel",
    "magnitude": "magnitude (AB)",
    "exposure": "exposure",
    "redshift": "true redshift",
    "class": "class",
    "part": "part of the suite",
    "batch": "spectra in one call",
    "all": "all spectra",
}

_LABELS = {
    "redshift": "redshift",
    "log_stellar_mass": "stellar mass, log M★ / M☉",
    "log_sfr": "star-formation rate, log SFR / (M☉ yr⁻¹)",
    "log_metallicity": "stellar metallicity, log Z★ / Z☉",
    "gas_metallicity": "gas metallicity, Z / Z☉",
    "dust_av": "dust, A_V / mag",
    "velocity_dispersion": "velocity dispersion / (km s⁻¹)",
    "log_age": "age, log t / yr",
    "log_ionisation": "ionisation, log U",
    "log_ssfr": "specific star-formation rate, log sSFR / yr⁻¹",
}

ORDER = tuple(GALAXY.names)


def metric(name: str) -> Metric:
    """The metric of that name; one that is not known is called by its name."""
    return METRICS.get(name, Metric(name.replace("_", " "), ""))


def parameter_label(name: str) -> str:
    """A parameter in plain text, with its unit."""
    return _LABELS.get(name, "all parameters" if name in {"all", ""} else name.replace("_", " "))


def parameter_word(name: str) -> str:
    """A parameter in one or two words."""
    return parameter_label(name).partition(",")[0].partition(" /")[0]


def axis_label(name: str) -> str:
    """An axis in plain text."""
    return AXES.get(name, name.replace("_", " "))


def ordered(names: list[str]) -> list[str]:
    """Parameters in the order of `GALAXY`, others behind."""
    return sorted(dict.fromkeys(names), key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SMALL, LARGE = 1e-3, 1e7
"""Outside of these numbers are written with a power of ten."""


def number(value: float, error: float = math.nan) -> str:
    """A value as `with_error` writes it, without the error.

    >>> number(0.91234, 0.0123), number(1234.5), number(0.4), number(0.000123456, 0.000002)
    ('0.912', '1,230', '0.4', '1.23 × 10⁻⁴')
    """
    value_text, _, power = _parts(value, error)
    return f"{value_text} × 10{power}" if power else value_text


def error_only(value: float, error: float) -> str:
    """'± error' as it stands behind `number`; "" where there is none."""
    _, error_text, power = _parts(value, error)
    return f"± {error_text}{f' × 10{power}' if power else ''}" if error_text else ""


def with_error(value: float, error: float) -> str:
    """Value and error with the digits that the error allows, three significant ones where there is none.

    The error has one significant digit, or two if the first is 1.

    >>> with_error(0.91234, 0.0123), with_error(5.5812e-4, 6e-6), with_error(2.0, math.nan)
    ('0.912 ± 0.012', '(5.58 ± 0.06) × 10⁻⁴', '2')
    """
    value_text, error_text, power = _parts(value, error)
    if not error_text:
        return number(value)
    return f"({value_text} ± {error_text}) × 10{power}" if power else f"{value_text} ± {error_text}"


def _parts(value: float, error: float) -> tuple[str, str, str]:
    """Value, error ("" where there is none) and raised exponent ("" for none) as texts."""
    if not math.isfinite(value):
        return "–", "", ""
    known = math.isfinite(error) and error > 0
    size = max(abs(value), error if known else 0.0)
    exponent = 0 if size == 0 or SMALL <= size < LARGE else math.floor(math.log10(size))
    power = str(exponent).translate(_RAISED) if exponent else ""
    scaled = value / 10.0**exponent
    if known:
        own = error / 10.0**exponent
        first = math.floor(math.log10(own))
        digits = -first + (own < 1.95 * 10.0**first)
        return _rounded(scaled, digits), _rounded(own, digits), power
    if scaled == 0:
        return "0", "", ""
    text = _rounded(scaled, 2 - math.floor(math.log10(abs(scaled))))
    return text.rstrip("0").rstrip(".") if "." in text else text, "", power


def _rounded(value: float, digits: int) -> str:
    return f"{round(value, digits):,.{max(digits, 0)}f}"
