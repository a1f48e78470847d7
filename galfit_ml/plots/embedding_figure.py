"""The latent space of a posterior in two dimensions, coloured by what is known of the galaxies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import unknown_name
from galfit_ml.latent.checks import LatentError, same_length
from galfit_ml.latent.features import embedding_of, log_ssfr
from galfit_ml.latent.projection import Projection, project
from galfit_ml.plots.canvas import DATA, EDGE, FAINT, new_figure, own_style, plain_text, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from galfit_ml.posterior import Posterior

Floats = NDArray[np.float64]

PALETTE = ("#c0392b", "#17679f", "#2f8f5b", "#b8860b", "#80508f", "#3aa6a0", "#8c564b", "#4d4d4d")
"""Of labels, the most frequent first."""

SPECIFIC = "log_ssfr"
UNLABELLED = {"", "nan", "None", "NaN", "<NA>"}


@dataclass(frozen=True, eq=False)
class Colour:
    """What points are coloured by; nothing where both are None.

    Args:
        title: text beside the colours, in mathtext.
        values: [n] numbers, NaN where they are not known.
        labels: [n] texts, "" where there is none.
    """

    title: str = ""
    values: Floats | None = None
    labels: NDArray[np.str_] | None = None


def embedding(
    posterior: Posterior, colour: str | Sequence[Any] | NDArray[Any] | None = None, method: str = "pca"
) -> Figure:
    """The embedding of n spectra in two dimensions.

    Args:
        posterior: of a backend with a latent space.
        colour: name of a parameter, "log_ssfr" or the name of a diagnostic; or n numbers; or n labels.
        method: "pca" or "umap".

    Raises:
        LatentError: the backend has no latent space, fewer than 3 spectra have a result, or not n colours are given.
        UnknownNameError: no parameter of that name, or no such method.
        MissingPackageError: "umap" is asked for and umap-learn is not installed.
    """
    features, chosen = embedding_of(posterior), as_colour(posterior, colour)
    return projection_figure(project(features, method), chosen, _title(posterior))


def _title(posterior: Posterior) -> str:
    return (
        f"Latent space of {int(posterior.ok.sum())} spectra ({posterior.provenance.get('backend', 'backend unknown')})"
    )


def as_colour(posterior: Posterior, colour: str | Sequence[Any] | NDArray[Any] | None) -> Colour:
    """What a user names or gives, as numbers or labels."""
    if colour is None:
        return Colour()
    if isinstance(colour, str):
        return _named(posterior, colour)
    given = np.asarray(colour)
    if given.ndim != 1:
        raise LatentError(f"Colours must be a name or one number or label for each spectrum, not shape {given.shape}.")
    same_length(len(posterior), colours=given)
    if given.dtype.kind in "fiu":
        return Colour(values=given.astype(np.float64))
    texts = np.array([str(text) for text in given.tolist()])
    return Colour(labels=np.where(np.isin(texts, list(UNLABELLED)), "", texts))


def _named(posterior: Posterior, name: str) -> Colour:
    if name in posterior.parameters:
        parameter = posterior.parameters[name]
        unit = f"  [{parameter.unit}]" if parameter.unit and not parameter.is_log else ""
        return Colour(f"{parameter.label}{unit}, median", posterior.quantile(name, 0.5))
    if name == SPECIFIC:
        return Colour(r"$\log_{10}(\mathrm{sSFR}/\mathrm{yr}^{-1})$, median", log_ssfr(posterior))
    if name in posterior.diagnostics:
        return Colour(name.replace("_", " "), np.asarray(posterior.diagnostics[name], dtype=np.float64))
    known = [*posterior.parameters.names, SPECIFIC, *posterior.diagnostics]
    raise unknown_name("parameter", name, known, "Labels are given as a list of one for each spectrum.")


def projection_figure(projection: Projection, colour: Colour, title: str) -> Figure:
    """A projection [n, 2] coloured; points without a colour are grey and lie below."""
    with own_style():
        figure = new_figure(7.2, 5.6)
        axes = figure.add_axes((0.105, 0.105, 0.655 if colour.title or colour.labels is not None else 0.80, 0.80))
        _points(figure, axes, projection.coordinates, colour)
        _dress(axes, projection)
        plain_text(figure, 0.105, 0.965, shortened(title, 80), fontsize=11, weight="bold", va="top")
        return figure


def _points(figure: Figure, axes: Axes, place: Floats, colour: Colour) -> None:
    shown = np.isfinite(place).all(axis=1)
    size = float(np.clip(4000.0 / max(int(shown.sum()), 1), 3.0, 26.0))
    style: dict[str, Any] = {"s": size, "linewidths": 0, "alpha": 0.8, "rasterized": True}
    order = np.random.default_rng(0).permutation(np.flatnonzero(shown))  # no class covers another
    if colour.values is not None:
        _by_value(figure, axes, (place, order, colour), style)
    elif colour.labels is not None:
        _by_label(axes, (place, order, colour.labels), style)
    else:
        axes.scatter(*place[order].T, color=EDGE, **style)


def _by_value(figure: Figure, axes: Axes, what: tuple[Floats, NDArray[np.intp], Colour], style: dict[str, Any]) -> None:
    place, order, colour = what
    assert colour.values is not None
    known = np.isfinite(colour.values[order])
    axes.scatter(*place[order[~known]].T, color=FAINT, **style)
    rows = order[known]
    low, high = np.percentile(colour.values[rows], [2, 98]) if len(rows) else (0.0, 1.0)
    drawn = axes.scatter(
        place[rows, 0], place[rows, 1], c=colour.values[rows], cmap="viridis", vmin=low, vmax=high, **style
    )
    bar = figure.colorbar(drawn, cax=figure.add_axes((0.79, 0.105, 0.028, 0.80)), extend="both")
    bar.set_label(colour.title, fontsize=10)
    bar.ax.tick_params(labelsize=9)


def _by_label(axes: Axes, what: tuple[Floats, NDArray[np.intp], NDArray[np.str_]], style: dict[str, Any]) -> None:
    from matplotlib.lines import Line2D

    place, order, labels = what
    names, numbers = np.unique(labels[order], return_counts=True)
    ranked = [str(name) for name in names[np.argsort(-numbers, kind="stable")] if name]
    colours = dict(zip(ranked, PALETTE, strict=False))
    rest = [name for name in names if name not in colours]
    grey = np.isin(labels[order], rest)
    axes.scatter(*place[order[grey]].T, color=FAINT, **style)
    shades = [colours[str(name)] for name in labels[order[~grey]]]
    axes.scatter(place[order[~grey], 0], place[order[~grey], 1], c=shades, **style)
    count = dict(zip(names.tolist(), numbers.tolist(), strict=True))
    entries = [(f"{shortened(name, 18)} ({count[name]})", shade) for name, shade in colours.items()]
    if grey.any():
        entries.append((f"{'no label' if rest == [''] else 'others'} ({int(grey.sum())})", FAINT))
    handles = [
        Line2D([], [], color=shade, marker="o", linestyle="", markersize=6, label=text) for text, shade in entries
    ]
    box = axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize=9, frameon=False)
    for text in box.get_texts():
        text.set_parse_math(False)


def _dress(axes: Axes, projection: Projection) -> None:
    axes.set_xlabel(projection.names[0])
    axes.set_ylabel(projection.names[1])
    axes.minorticks_on()
    axes.tick_params(which="both", direction="in", labelsize=9, color=DATA)
    axes.grid(True, which="major", color=FAINT, alpha=0.35, linewidth=0.5)
    axes.set_axisbelow(True)
