"""What simulated spectra look like: a few of a survey, or a grid by brightness and exposure time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.features import FEATURES, Feature
from galfit_ml.plots.canvas import DATA, FAINT, new_figure, own_style, plain_text
from galfit_ml.plots.instrument_figure import FLUX_UNIT, arm_colour
from galfit_ml.spectra import ArmSpectra, SpectrumBatch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from galfit_ml.simulate.surveys import MockSurvey

Floats = NDArray[np.float64]

MARKED: tuple[str, ...] = (
    r"H$\alpha$ [N II]",
    "[O III]",
    "[O II]",
    r"Ly$\alpha$",
    r"H$\beta$",
    "Mg II",
    "[S III]",
    r"Pa$\beta$",
    "Ca K",
    "Mg b",
    "Ca II",
    "Na D",
)
"""Lines that are named, of `FEATURES`; where there is no room for all, the first ones."""

LABEL_WIDTH = 0.3
"""Inches."""

EXPLANATION = "colours: simulated data, averaged", "black: without noise", "grey: reported ±1σ of the averages"

BINS = 500
"""Averages across a panel of full width."""


@dataclass(frozen=True, eq=False)
class MockPanel:
    """One simulated spectrum.

    Args:
        arms: of one row each.
        noiseless: [n_pix] flux without noise, the arms one after the other; None to leave it out.
        redshift: where its lines are; None for what has none (a star, the sky).
        title: its truth, in a few words.
    """

    arms: tuple[ArmSpectra, ...]
    noiseless: Floats | None
    redshift: float | None
    title: str

    @classmethod
    def of(
        cls, batch: SpectrumBatch, truth: Mapping[str, Any], index: int, noiseless: NDArray[Any] | None = None
    ) -> MockPanel:
        """Spectrum `index` of a survey.

        Args:
            batch: n spectra.
            truth: column name -> [n] values; a table will do.
            index: which of them.
            noiseless: [n, n_pix] fluxes without noise, or None.
        """
        row = batch.take([index])
        clean = None if noiseless is None else np.asarray(noiseless[index], dtype=np.float64)
        return cls(row.arms, clean, _redshift(truth, index), truth_title(truth, index))


def _columns(truth: Mapping[str, Any]) -> list[str]:
    return list(getattr(truth, "colnames", None) or truth.keys())


def _redshift(truth: Mapping[str, Any], index: int) -> float | None:
    value = float(truth["redshift"][index]) if "redshift" in _columns(truth) else np.nan
    return value if np.isfinite(value) else None


def truth_title(truth: Mapping[str, Any], index: int) -> str:
    """Class, redshift, magnitude, mass, star-formation rate, exposure and S/N of a simulated spectrum, in words."""
    words = []
    for name, text in _TOLD.items():
        column = _magnitude_column(truth) if name == "m_" else name
        value = truth[column][index] if column in _columns(truth) else np.nan
        if isinstance(value, str):
            words.append(str(value))
        elif np.isfinite(value):
            words.append(
                _hours(float(value)) if name == "exposure_s" else text.format(float(value), band_label(column))
            )
    return "   ".join(words)


_TOLD = {
    "class": "",
    "redshift": "z = {:.4f}",
    "m_": "{1} = {0:.2f} AB",
    "log_stellar_mass": "log M = {:.2f}",
    "log_sfr": "log SFR = {:z.2f}",
    "exposure_s": "",
    "snr": "S/N = {:z.1f}",
}
"""Columns of the truth table that a title tells, and how."""


def _magnitude_column(truth: Mapping[str, Any]) -> str:
    """The column of the magnitude in the instrument's band: m_h, m_r, ..."""
    named = [name for name in _columns(truth) if name.startswith("m_") and not name.endswith("_total")]
    return named[0] if named else ""


def band_label(column: str) -> str:
    """Name of the band of a column of magnitudes: near-infrared ones in capitals."""
    name = column.removeprefix("m_")
    return name.upper() if name in {"y", "j", "h", "k"} else name


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:g} h" if seconds >= 1800 else f"{seconds / 60:g} min"


def mock_figure(panels: Sequence[MockPanel], title: str = "") -> Figure:
    """Simulated spectra, one below the other: averages of the data, their noise, the flux without noise, the lines."""
    if not panels:
        raise ValueError("There is no spectrum to draw.")
    with own_style():
        return _stack(panels, title)


def gallery(
    rows: Sequence[Sequence[MockPanel]], labels: Sequence[str], heads: Sequence[str], title: str = ""
) -> Figure:
    """Simulated spectra in a grid, such as brightness by exposure time.

    Args:
        rows: of panels, all rows of the same length.
        labels: of the rows.
        heads: of the columns.
        title: of the figure.
    """
    if not rows or len({len(row) for row in rows}) != 1 or len(labels) != len(rows) or len(heads) != len(rows[0]):
        raise ValueError("A gallery needs rows of the same length, a label for each row and a head for each column.")
    with own_style():
        return _grid(rows, labels, heads, title)


def _stack(panels: Sequence[MockPanel], title: str) -> Figure:
    height = 0.95 + 2.0 * len(panels)
    figure = new_figure(11.0, height)
    axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    figure.subplots_adjust(left=0.075, right=0.985, top=1 - 0.55 / height, bottom=0.5 / height, hspace=0.34)
    for place, panel in zip(axes, panels, strict=True):
        _draw(place, panel, BINS)
        plain = {"fontsize": 8.5, "loc": "left", "pad": 3, "color": DATA, "parse_math": False}
        place.set_title(panel.title, **plain)
    axes[-1].set_xlabel(r"observed wavelength, vacuum  [$\mathrm{\AA}$]", fontsize=9)
    figure.supylabel(rf"$f_\lambda$  [{FLUX_UNIT}]", fontsize=9, x=0.012)
    plain_text(figure, 0.075, 1 - 0.12 / height, title, fontsize=11, weight="bold", va="top")
    _explain(figure, 0.985, panels)
    return figure


def _grid(rows: Sequence[Sequence[MockPanel]], labels: Sequence[str], heads: Sequence[str], title: str) -> Figure:
    n, m = len(rows), len(rows[0])
    height, width = 1.15 + 1.9 * n, 6.0 * m + 0.9
    figure = new_figure(width, height)
    axes = figure.subplots(n, m, squeeze=False, sharex=True)
    top = 1 - 0.78 / height
    left, right = 1.1 / width, 1 - 0.28 / width
    figure.subplots_adjust(left=left, right=right, top=top, bottom=0.5 / height, hspace=0.3, wspace=0.11)
    for row, places, label in zip(rows, axes, labels, strict=True):
        limits = _shared_limits(row)
        for panel, place in zip(row, places, strict=True):
            _draw(place, panel, BINS // 2, limits)
            place.set_title(panel.title, fontsize=7.5, loc="left", pad=2.5, color=DATA, parse_math=False)
        box = places[0].get_position()
        middle = 0.5 * (box.y0 + box.y1)
        figure.text(0.2 / width, middle, label, fontsize=11, weight="bold", rotation=90, ha="center", va="center")
    for place, head in zip(axes[0], heads, strict=True):
        place.annotate(head, (0.5, 1.0), (0, 17), "axes fraction", "offset points", ha="center", weight="bold")
    for place in axes[-1]:
        place.set_xlabel(r"observed wavelength, vacuum  [$\mathrm{\AA}$]", fontsize=9)
    figure.supylabel(rf"$f_\lambda$  [{FLUX_UNIT}]", fontsize=9, x=0.4 / width)
    plain_text(figure, left, 1 - 0.12 / height, title, fontsize=12, weight="bold", va="top")
    _explain(figure, right, [panel for row in rows for panel in row])
    return figure


def _explain(figure: Figure, right: float, panels: Sequence[MockPanel]) -> None:
    """What the colours are, in the upper right corner."""
    place = 1 - 0.14 / figure.get_figheight()
    clean = any(panel.noiseless is not None for panel in panels)
    text = (" " * 6).join(word for word in EXPLANATION if clean or not word.startswith("black"))
    plain_text(figure, right, place, text, fontsize=8, color=DATA, ha="right", va="top")


@dataclass(frozen=True, eq=False)
class _Binned:
    """Averages of one arm, [n_bin] each: wavelength, flux weighted by inverse variance, its error, noiseless flux."""

    wavelength: Floats
    flux: Floats
    sigma: Floats
    noiseless: Floats | None


def _binned(arm: ArmSpectra, noiseless: Floats | None, size: int) -> _Binned:
    whole = max(len(arm.grid) // size, 1) * min(size, len(arm.grid))
    shape = (-1, min(size, len(arm.grid)))
    weight = np.where(arm.bad[0], 0.0, arm.ivar[0])[:whole].reshape(shape)
    flux = arm.flux[0, :whole].reshape(shape)
    total = weight.sum(axis=1)
    some = np.where(total > 0, total, np.nan)
    # the same weights: a strong line in noisy pixels is as weak in the one average as in the other
    clean = None if noiseless is None else (weight * noiseless[:whole].reshape(shape)).sum(axis=1) / some
    wavelength = arm.grid.centres[:whole].reshape(shape).mean(axis=1)
    return _Binned(wavelength, (weight * flux).sum(axis=1) / some, some**-0.5, clean)


def _arms_binned(panel: MockPanel, bins: int) -> list[_Binned]:
    n_pix = sum(len(arm.grid) for arm in panel.arms)
    size = max(1, round(n_pix / bins))
    out, start = [], 0
    for arm in panel.arms:
        stop = start + len(arm.grid)
        out.append(_binned(arm, None if panel.noiseless is None else panel.noiseless[start:stop], size))
        start = stop
    return out


def _limits(panel: MockPanel, bins: int) -> tuple[float, float]:
    """Flux range that shows the continuum, the lines and most of the noise."""
    binned = _arms_binned(panel, bins)
    data = np.concatenate([arm.flux for arm in binned])
    data = data[np.isfinite(data)]
    if not data.size:
        return 0.0, 1.0
    low, high = np.percentile(data, [2.0, 99.0])
    if panel.noiseless is not None:
        clean = np.concatenate([arm.noiseless for arm in binned if arm.noiseless is not None])
        high = max(high, min(float(np.nanmax(clean)), 4.0 * float(high)))
        low = min(low, 0.0, float(np.nanmin(clean)))
    span = float(high - min(low, 0.0)) or 1.0
    return float(min(low, 0.0)) - 0.06 * span, float(high) + 0.32 * span


def _shared_limits(row: Sequence[MockPanel]) -> tuple[float, float]:
    """Range of the panel with the least noise, so that a row can be compared, but with room for the others."""
    ranges = [_limits(panel, BINS // 2) for panel in row]
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _draw(axes: Axes, panel: MockPanel, bins: int, limits: tuple[float, float] | None = None) -> None:
    steps: dict[str, Any] = {"drawstyle": "steps-mid"}
    for i, arm in enumerate(_arms_binned(panel, bins)):
        colour = arm_colour(i)
        axes.fill_between(arm.wavelength, -arm.sigma, arm.sigma, color=FAINT, alpha=0.45, linewidth=0, step="mid")
        axes.plot(arm.wavelength, arm.flux, color=colour, linewidth=0.7, alpha=0.85, **steps)
        if arm.noiseless is not None:
            axes.plot(arm.wavelength, arm.noiseless, color="black", linewidth=0.6, **steps)
    axes.axhline(0, color=DATA, linewidth=0.4)
    low = min(arm.grid.edges[0] for arm in panel.arms)
    high = max(arm.grid.edges[-1] for arm in panel.arms)
    pad = 0.008 * (high - low)
    axes.set_xlim(low - pad, high + pad)
    axes.set_ylim(limits or _limits(panel, bins))
    axes.minorticks_on()
    axes.tick_params(which="both", direction="in", labelsize=8, right=True, top=True)
    if panel.redshift is not None:
        _mark(axes, panel)


def _mark(axes: Axes, panel: MockPanel) -> None:
    """Name the lines that fall into an arm, as far as there is room."""
    frame = axes.get_xaxis_transform()
    low, high = axes.get_xlim()
    figure_width = axes.figure.get_figure(root=True).get_figwidth()
    gap = LABEL_WIDTH * (high - low) / (axes.get_position().width * figure_width)
    taken: list[float] = []
    for feature, wave in sorted(_inside(panel), key=lambda pair: MARKED.index(pair[0].label)):
        axes.plot([wave, wave], [0.0, 0.82], transform=frame, color=DATA, linewidth=0.5, alpha=0.3, zorder=0.5)
        if any(abs(wave - other) < gap for other in taken):
            continue
        taken.append(wave)
        style: dict[str, Any] = {"fontsize": 7, "style": "normal" if feature.emission else "italic", "color": DATA}
        axes.text(wave, 0.87, feature.label, transform=frame, ha="center", clip_on=True, **style)


def _inside(panel: MockPanel) -> list[tuple[Feature, float]]:
    assert panel.redshift is not None
    found = []
    for feature in FEATURES:
        wave = float(np.mean(feature.wavelengths)) * (1 + panel.redshift)
        if feature.label in MARKED and any(a.grid.edges[0] < wave < a.grid.edges[-1] for a in panel.arms):
            found.append((feature, wave))
    return found


def survey_gallery(
    survey: MockSurvey, kind: str, magnitudes: Sequence[float], exposures: Sequence[float], title: str = ""
) -> Figure:
    """Galaxies of one class by brightness (rows) and exposure time (columns): the same galaxy along each row.

    Args:
        survey: in which every galaxy was observed with each exposure.
        kind: class of the galaxies, as the truth table has it.
        magnitudes: in the instrument's band; the galaxy that comes nearest is shown.
        exposures: s.
        title: of the figure.

    Raises:
        ValueError: the survey has no such galaxy or exposure.
    """
    rows = [[_nearest(survey, kind, magnitude, time) for time in exposures] for magnitude in magnitudes]
    panels = [[MockPanel.of(survey.batch, survey.truth, index, survey.clean) for index in row] for row in rows]
    band = band_label(_magnitude_column(survey.truth))
    return gallery(panels, [f"{band} = {m:g}" for m in magnitudes], [_hours(time) for time in exposures], title)


def _nearest(survey: MockSurvey, kind: str, magnitude: float, exposure: float) -> int:
    truth = survey.truth
    usable = (truth["class"] == kind) & (truth["exposure_s"] == exposure)
    if not usable.any():
        raise ValueError(f"The survey has no galaxy of class {kind!r} with an exposure of {exposure:g} s.")
    distance = np.where(usable, np.abs(truth[_magnitude_column(truth)] - magnitude), np.inf)
    same = np.flatnonzero(distance <= distance.min() + 1e-6)
    return int(same[np.argmin(truth["galaxy_id"][same])])
