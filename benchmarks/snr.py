"""Signal-to-noise of MOONS at low resolution, beside the design's figures and recorded moons1d runs.

    python -m benchmarks.snr                    # prints the tables
    python -m benchmarks.snr --out snr.md --json snr.json

All ratios are expected ones, medians over the good pixels of an arm (moons1d: all pixels); nothing is drawn.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.moons1d_faults import Faults, recorded, signal_to_noise_as_moons1d, source
from galfit_ml.instruments import Instrument, get_instrument
from galfit_ml.simulate.etc import Depth, signal_to_noise

MOONS = get_instrument("moons-lr")

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Row:
    """A line of a table: what, value per arm and what it is held against (None where there is nothing)."""

    what: str
    found: Triple
    reference: Triple | None

    @property
    def difference(self) -> Triple | None:
        """Relative, per cent."""
        if self.reference is None:
            return None
        ratio = [100.0 * (a / b - 1.0) for a, b in zip(self.found, self.reference, strict=True)]
        return ratio[0], ratio[1], ratio[2]


DESIGN = (
    ("tier 0, AB 22, 1 h, without stray light", {"magnitude": 22.0, "exposure": "1h", "tier": 0}, (2.2, 2.3, 1.4), 0.0),
    ("tier 0, AB 22, 1 h", {"magnitude": 22.0, "exposure": "1h", "tier": 0}, (2.2, 2.3, 1.4), None),
    ("tier 1, AB 22, 1 h", {"magnitude": 22.0, "exposure": "1h", "tier": 1}, (2.2, 2.2, 1.2), None),
    ("tier 1, AB 22, 8 h", {"magnitude": 22.0, "exposure": "8h", "tier": 1}, (5.9, 5.6, 3.0), None),
    ("tier 1, AB 24, 8 h", {"magnitude": 24.0, "exposure": "8h", "tier": 1}, (0.95, 0.89, 0.48), None),
)
"""What, settings, the design's figures for constant f_nu and r_e = 0.3 arcsec, share of stray light where changed."""

LINE_LIMITS: Triple = (1.45, 1.05, 0.90)
"""1e-17 erg s^-1 cm^-2: 5 sigma, 200 km/s, 1 h, r_e = 0.3 arcsec."""

MOONS1D_LIKE: Triple = (2.6, 2.7, 1.6)


def with_stray(instrument: Instrument, share: float) -> Instrument:
    """The same with another share of stray light in each arm."""
    arms = []
    for arm in instrument.arms:
        assert arm.detector is not None
        arms.append(replace(arm, detector=replace(arm.detector, stray=share)))
    return replace(instrument, arms=tuple(arms))


def triple(values: Iterable[float]) -> Triple:
    first, second, third = values
    return float(first), float(second), float(third)


def of_arms(depth: Depth, name: str = "snr", unit: float = 1.0) -> Triple:
    return triple(getattr(arm, name) / unit for arm in depth.arms[:3])


def design_rows() -> list[Row]:
    """The design's table of signal-to-noise ratios."""
    rows = []
    for what, settings, reference, stray in DESIGN:
        instrument = MOONS if stray is None else with_stray(MOONS, stray)
        rows.append(Row(what, of_arms(signal_to_noise(instrument, **settings)), reference))
    like = Faults(**{field.name: field.name in {"one_pixel", "cold"} for field in fields(Faults)})
    rows.append(Row("one spatial pixel, no stray light, no thermal emission", _as_moons1d(like), MOONS1D_LIKE))
    return rows


def line_rows() -> list[Row]:
    """Limits of emission lines, 1e-17 erg s^-1 cm^-2."""
    rows = []
    for what, instrument, tier in (
        ("tier 0, without stray light", with_stray(MOONS, 0.0), 0),
        ("tier 0", MOONS, 0),
        ("tier 1", MOONS, 1),
    ):
        depth = signal_to_noise(instrument, magnitude=22.0, exposure="1h", tier=tier, line_width=200.0)
        rows.append(Row(what, of_arms(depth, "line_limit", 1e-17), LINE_LIMITS))
    return rows


def moons1d_rows() -> list[Row]:
    """Recorded moons1d runs beside its recipe made from this package's parts."""
    record, rows = recorded(), []
    for case in record["cases"]:
        found = signal_to_noise_as_moons1d(case, record["spiral"], Faults())
        rows.append(Row(case["name"], triple(np.median(found[arm]) for arm in found), _recorded(case)))
    return rows


def own_rows() -> list[Row]:
    """This package, tier 1, beside recorded moons1d runs of the same input."""
    record, rows = recorded(), []
    wavelength = np.concatenate([arm.grid.centres for arm in MOONS.arms])
    for case in record["cases"]:
        depth = signal_to_noise(
            MOONS,
            magnitude=None,
            exposure=3600.0 * case["hours"],
            size=case["size"],
            spectrum=source(case, record["spiral"], wavelength),
            tier=1,
        )
        rows.append(Row(case["name"], of_arms(depth), _recorded(case)))
    return rows


def fault_rows() -> list[Row]:
    """What each of moons1d's simplifications does, one at a time, to AB 22 in 1 h; the reference has none of them."""
    none = Faults(**{field.name: False for field in fields(Faults)})
    base = _as_moons1d(none)
    rows = [Row("none", base, None)]
    rows += [Row(field.name, _as_moons1d(replace(none, **{field.name: True})), base) for field in fields(Faults)]
    return [*rows, Row("all", _as_moons1d(Faults()), base)]


def _as_moons1d(faults: Faults) -> Triple:
    record = recorded()
    found = signal_to_noise_as_moons1d(record["cases"][0], record["spiral"], faults)
    return triple(np.median(values) for values in found.values())


def _recorded(case: dict[str, Any]) -> Triple:
    return triple(case["arms"][arm]["snr"] for arm in ("RI", "YJ", "H"))


TABLES = {
    "Median signal-to-noise ratio per pixel, constant f_nu, r_e 0.3 arcsec, beside the design": design_rows,
    "5-sigma limit of a line of 200 km/s (FWHM), 1 h, r_e 0.3 arcsec, 1e-17 erg/s/cm2, beside the design": line_rows,
    "moons1d's recipe from this package's parts, beside recorded moons1d": moons1d_rows,
    "This package, tier 1, beside recorded moons1d of the same input": own_rows,
    "moons1d's simplifications one at a time, AB 22, 1 h, beside none of them": fault_rows,
}


def markdown(title: str, rows: list[Row]) -> str:
    lines = [f"## {title}", "", "| | RI | YJ | H | reference | difference, % |", "|---|---|---|---|---|---|"]
    for row in rows:
        cells = [f"{value:.3g}" for value in row.found]
        cells.append(" / ".join(f"{value:.3g}" for value in row.reference) if row.reference else "")
        cells.append(" / ".join(f"{value:+.1f}" for value in row.difference) if row.difference else "")
        lines.append(f"| {row.what} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the tables here, as Markdown")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    made = {title: rows() for title, rows in TABLES.items()}
    text = "\n".join(markdown(title, rows) for title, rows in made.items())
    print(text)
    if options.out:
        options.out.write_text(text)
    if options.json:
        plain = {title: [[row.what, row.found, row.reference] for row in rows] for title, rows in made.items()}
        options.json.write_text(json.dumps(plain, indent=1))


if __name__ == "__main__":
    main()
