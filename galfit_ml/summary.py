"""Summary of a posterior: quantiles with units, flags in words, one row per spectrum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from galfit_ml.flags import Flag
from galfit_ml.parameters import Parameter

if TYPE_CHECKING:
    from astropy.table import QTable

    from galfit_ml.posterior import Posterior

FORMAT_VERSION = 1

QUANTILES = {"q16": 0.16, "q50": 0.50, "q84": 0.84}
"""Columns of the summary: suffix -> probability."""

_IN_LINES = {"redshift", "log_stellar_mass", "log_sfr", "log_metallicity", "gas_metallicity"}


def flag_names(bits: int) -> str:
    """Names of the flags in `bits`, joined by '|'; a bit without a name shows as BIT_<number>.

    >>> flag_names(Flag.LOW_SNR | Flag.POOR_FIT | 1 << 25)
    'LOW_SNR|POOR_FIT|BIT_25'
    """
    known = {int(flag): str(flag.name) for flag in Flag}
    return "|".join(known.get(1 << i, f"BIT_{i}") for i in range(int(bits).bit_length()) if int(bits) >> i & 1)


def to_table(posterior: Posterior) -> QTable:
    """Summary of a posterior, one row per spectrum.

    Returns:
        QTable with `id`; `<name>_q16`, `<name>_q50`, `<name>_q84` of each parameter (with units, `dex(...)` for
        logarithms; a plain column if dimensionless); `flags` (bits), `flag_names` ("LOW_SNR|POOR_FIT"), `reason`;
        `chi2` and `n_good` if there is a best fit; the diagnostics. `meta` holds format version and provenance.
    """
    from astropy.table import QTable

    made = {_printable(k): _printable(v) for k, v in posterior.provenance.items()}
    table = QTable(meta={"format": "galfit_ml summary", "format_version": FORMAT_VERSION, **made})
    table["id"] = _texts(posterior.ids)
    for parameter in posterior.parameters:
        _add_quantiles(table, posterior, parameter)
    table["flags"] = posterior.flags.astype(np.int64)
    table["flag_names"] = _texts(flag_names(bits) for bits in posterior.flags)
    table["reason"] = _texts(posterior.reasons)
    fit = posterior.best_fit
    numbers = {} if fit is None else {"chi2": fit.chi2, "n_good": fit.n_good}
    for name, values in {**numbers, **posterior.diagnostics}.items():
        table[name if name not in table.colnames else f"{name}_diagnostic"] = values
    return table


def _add_quantiles(table: QTable, posterior: Posterior, parameter: Parameter) -> None:
    from astropy.units import Unit

    values = posterior.quantile(parameter.name, list(QUANTILES.values()))
    for (suffix, probability), column in zip(QUANTILES.items(), values.T, strict=True):
        name = f"{parameter.name}_{suffix}"
        table[name] = column * Unit(parameter.column_unit) if parameter.column_unit else column.copy()
        table[name].info.description = f"{100 * probability:.0f} % quantile. {_scale(parameter)}{parameter.doc}"


def _scale(parameter: Parameter) -> str:
    return f"log10 of the value in {parameter.unit}. " if parameter.is_log and parameter.unit else ""


def _texts(texts: Iterable[str]) -> NDArray[np.str_]:
    return np.array([_printable(t) for t in texts], dtype=np.str_)


def _printable(text: str) -> str:
    # Control characters, and the lone surrogates that stand for bytes of a file name that are no UTF-8, are escaped:
    # no table format holds them, and a terminal would obey them.
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def describe(posterior: Posterior) -> str:
    """A posterior for people to read: a block for each spectrum where there are few, else a line each."""
    if len(posterior) <= 3:
        return "\n\n".join(_block(posterior, i) for i in range(len(posterior)))
    return _lines(posterior)


def with_errors(q16: float, q50: float, q84: float) -> tuple[str, str, str]:
    """Median, upper and lower error as text, to two digits of the smaller error.

    >>> with_errors(9.371, 9.4, 9.432)
    ('9.400', '0.032', '0.029')
    """
    up, down = q84 - q50, q50 - q16
    positive = [e for e in (up, down) if e > 0]
    if not positive:
        return f"{q50:.6g}", "", ""
    digits = int(np.clip(1 - np.floor(np.log10(min(positive))), 0, 7))
    return f"{q50:.{digits}f}", f"{up:.{digits}f}", f"{down:.{digits}f}"


def _block(posterior: Posterior, index: int) -> str:
    failed, fit = not posterior.ok[index], posterior.best_fit
    rows = [] if failed else [_parameter_row(posterior, p, index) for p in posterior.parameters]
    if failed:
        rows.append(("no result", _printable(posterior.reasons[index]) or "the inference failed"))
    elif fit is not None and fit.n_good[index] > 0:
        rows.append(("chi2 / n", f"{fit.chi2[index] / fit.n_good[index]:>10.2f}  over {fit.n_good[index]} pixels"))
    rows += [(flag.name or "", flag.meaning) for flag in Flag if posterior.flags[index] & flag and not failed]
    return "\n".join([_printable(posterior.ids[index]), *(f"  {name:<20} {text}".rstrip() for name, text in rows)])


def _parameter_row(posterior: Posterior, parameter: Parameter, index: int) -> tuple[str, str]:
    median, up, down = _texts_of(posterior, parameter, index)
    errors = f"+{up} -{down}" if up else ("" if median == "-" else "(fixed)")
    return parameter.name, f"{median:>10}  {errors:<22} {parameter.column_unit}"


def _lines(posterior: Posterior) -> str:
    shown = [p for p in posterior.parameters if p.name in _IN_LINES] or list(posterior.parameters)
    header = ["spectrum", *(p.name for p in shown), "flags"]
    rows = [header]
    for i, name in enumerate(posterior.ids):
        values = [_short(*_texts_of(posterior, p, i)) for p in shown]
        rows.append([_printable(name), *values, flag_names(posterior.flags[i]) or "-"])
    widths = [max(len(row[k]) for row in rows) for k in range(len(header) - 1)]
    return "\n".join("  ".join([*(t.ljust(w) for t, w in zip(row, widths, strict=False)), row[-1]]) for row in rows)


def _texts_of(posterior: Posterior, parameter: Parameter, index: int) -> tuple[str, str, str]:
    quantiles = posterior[index].quantile(parameter.name, list(QUANTILES.values()))[0]
    return with_errors(*quantiles) if np.isfinite(quantiles).all() else ("-", "", "")


def _short(median: str, up: str, down: str) -> str:
    return f"{median} +{up} -{down}" if up else median
