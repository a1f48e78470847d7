"""One look per backend, the same in every panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#4D4D4D")
"""Told apart by people with any colour vision (Okabe & Ito 2008, "Color Universal Design"); grey for their black, and
without their yellow, which is too pale for a line on white."""

CLASS_COLOURS = ("#332288", "#CC6677", "#DDCC77", "#117733", "#88CCEE", "#882255", "#44AA99", "#999933", "#AA4499")
"""Of classes of galaxies: Paul Tol's scheme "muted" (2021, technical note SRON/EPS/TN/09-002)."""

_MARKERS = ("circle", "square", "triangle", "diamond", "inverted_triangle", "hex", "star")
_DASHES = ("solid", "dashed", "dotted", "dotdash")
MATPLOTLIB = {
    "circle": "o",
    "square": "s",
    "triangle": "^",
    "diamond": "D",
    "inverted_triangle": "v",
    "hex": "h",
    "star": "*",
    "solid": "-",
    "dashed": "--",
    "dotted": ":",
    "dotdash": "-.",
}
"""bokeh's names of markers and dashes -> matplotlib's."""


@dataclass(frozen=True)
class Look:
    """Colour, marker and dashes of a backend, by bokeh's names."""

    name: str
    colour: str
    marker: str
    dash: str


def looks(backends: Sequence[str]) -> dict[str, Look]:
    """Backend -> its look; the colours repeat after seven, with other dashes."""
    return {name: Look(name, COLOURS[i % 7], _MARKERS[i % 7], _DASHES[(i // 7) % 4]) for i, name in enumerate(backends)}
