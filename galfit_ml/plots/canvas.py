"""What the figures share: the row they show, a canvas without pyplot, texts."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from galfit_ml.errors import SpectrumError
from galfit_ml.summary import flag_names, with_errors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from galfit_ml.parameters import Parameter
    from galfit_ml.posterior import Posterior

DATA, FAINT, MODEL, BAND, MASKED = "#30343b", "#b4bac4", "#d1422f", "#b9c2cf", "#eceff3"
EMISSION, ABSORPTION = "#17679f", "#80508f"
CALIBRATION = "#2f8f5b"
FILL, EDGE = "#9dbfd8", "#17507e"


def one_row(posterior: Posterior, index: int) -> Posterior:
    """The posterior of spectrum `index` alone; SpectrumError if it has no result."""
    row: Posterior = posterior[int(index)]
    if not row.ok[0]:
        raise SpectrumError(f"{row.ids[0]} has no result to plot: {row.reasons[0] or 'the inference failed'}")
    return row


@contextmanager
def own_style() -> Iterator[None]:
    """matplotlib's defaults while a figure is made: the layout does not depend on the user's style."""
    from matplotlib import style

    with style.context("default"):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches, that draws without a display and shows itself in notebooks."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, facecolor="white")
    FigureCanvasAgg(figure)
    # IPython shows what has this method; without pyplot nobody else would give the figure one.
    setattr(figure, "_repr_png_", partial(_png, figure))  # noqa: B010 - not an attribute that matplotlib declares
    return figure


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def plain_text(figure: Figure, x: float, y: float, text: str, **style: Any) -> None:
    """Text as it stands: a file name may hold '$' and '_'."""
    figure.text(x, y, text, parse_math=False, **style)


def shortened(text: str, longest: int) -> str:
    """`text` with its middle left out where it has more than `longest` characters."""
    return text if len(text) <= longest else f"{text[: longest // 2 - 1]}…{text[-(longest // 2) :]}"


def axis_label(parameter: Parameter) -> str:
    """A parameter's label, with its unit where the label does not hold it."""
    return f"{parameter.label}  [{parameter.unit}]" if parameter.unit and not parameter.is_log else parameter.label


def value_with_errors(q16: float, q50: float, q84: float) -> str:
    """The median with its errors in mathtext."""
    median, up, down = with_errors(q16, q50, q84)
    return rf"${median}^{{+{up}}}_{{-{down}}}$" if up else f"{median} (fixed)"


def titled_values(row: Posterior, names: Iterable[str]) -> list[str]:
    """'label = median +up -down' of those of `names` that one spectrum has a value of."""
    return [text for name in names if name in row.parameters and (text := _titled(row, row.parameters[name]))]


def _titled(row: Posterior, parameter: Parameter) -> str:
    """'label = median +up -down' in mathtext; "" where there is no value."""
    q16, q50, q84 = row.quantile(parameter.name, [0.16, 0.5, 0.84])[0]
    if not np.isfinite(q50):
        return ""
    unit = f" {parameter.unit}" if parameter.unit and not parameter.is_log else ""
    return f"{parameter.label} = {value_with_errors(q16, q50, q84)}{unit}"


def row_title(figure: Figure, row: Posterior, values: Iterable[str], left: float) -> None:
    """The name of one spectrum, values below it, and its flags at the right; `left` is a part of the width."""
    height = figure.get_figheight()
    plain_text(figure, left, 1 - 0.09 / height, shortened(row.ids[0], 70), fontsize=11, weight="bold", va="top")
    figure.text(left, 1 - 0.31 / height, "     ".join(values), fontsize=10, va="top")
    if row.flags[0]:
        note = flag_names(row.flags[0]).replace("|", ", ").lower().replace("_", " ")
        plain_text(figure, 0.985, 1 - 0.09 / height, note, fontsize=8, color=MODEL, ha="right", va="top")
