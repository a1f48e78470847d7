"""Observed spectrum, best model, residuals, and the lines named."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import GalfitMLError
from galfit_ml.plots.canvas import (
    BAND,
    CALIBRATION,
    DATA,
    FAINT,
    MASKED,
    MODEL,
    new_figure,
    one_row,
    own_style,
    row_title,
    titled_values,
)
from galfit_ml.plots.line_marks import mark_features
from galfit_ml.plots.shown_pixels import ShownPixels
from galfit_ml.summary import flag_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from galfit_ml.posterior import Posterior

Floats = NDArray[np.float64]

CALIBRATION_STEPS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Distances between the labels of calibration factors."""

_LEGEND: dict[str, Any] = {
    "fontsize": 8,
    "frameon": False,
    "borderaxespad": 0,
    "handlelength": 1.4,
    "columnspacing": 1.2,
}


def fit(posterior: Posterior, index: int = 0) -> Figure:
    """Observed spectrum, best model and residuals of spectrum `index`, with the lines named.

    The calibration that the model contains has a panel of its own, where the backend gives one. Noise is shown as the
    backend found it: the legend gives the factor on what was reported.

    Raises:
        GalfitMLError: the backend gave no best model.
        SpectrumError: this spectrum has no result.
    """
    row = one_row(posterior, index)
    if row.best_fit is None:
        backend = row.provenance.get("backend", "that made it")
        raise GalfitMLError(
            f"This posterior holds no best model: backend {backend} gives none. posterior.plot() shows its draws; "
            "estimate with backend='emcee' for a model spectrum."
        )
    with own_style():
        return _fit_figure(row, ShownPixels.of(row))


def _fit_figure(row: Posterior, shown: ShownPixels) -> Figure:
    calibrated = shown.calibration is not None
    figure = new_figure(10.0, 7.0 if calibrated else 6.2)
    panels = figure.subplots(2 + calibrated, 1, sharex=True, height_ratios=[3.2, *[0.62] * calibrated, 1])
    figure.subplots_adjust(left=0.075, right=0.98, bottom=0.53 / figure.get_figheight(), hspace=0.04)
    figure.subplots_adjust(top=1 - 1.02 / figure.get_figheight())
    top, bottom = panels[0], panels[-1]
    _draw_spectrum(top, shown, relative="RELATIVE_FLUX" in flag_names(row.flags[0]))
    if calibrated:
        _draw_calibration(panels[1], shown)
    _draw_residuals(bottom, shown)
    redshift = _peak(row["redshift"][0]) if "redshift" in row.parameters else 0.0
    mark_features(top, redshift)
    _rest_frame_axis(top, redshift)
    _fit_title(figure, row, shown.noise_scale)
    labels = top.get_legend_handles_labels()
    figure.legend(*labels, loc="lower right", ncols=6, bbox_to_anchor=(0.985, 0.015), **_LEGEND)
    return figure


def _draw_spectrum(axes: Axes, shown: ShownPixels, relative: bool) -> None:
    n = shown.crowding
    clear = shown if n == 1 else shown.binned(n)
    band: dict[str, Any] = {"step": "mid", "color": BAND, "alpha": 0.75, "linewidth": 0, "label": _noise_label(shown)}
    steps: dict[str, Any] = {"drawstyle": "steps-mid", "linewidth": 0.55}
    if n > 1:
        axes.plot(shown.wavelength, shown.flux, color=FAINT, label="data", **steps)
    axes.fill_between(clear.wavelength, clear.flux - clear.sigma, clear.flux + clear.sigma, **band)
    axes.plot(clear.wavelength, clear.flux, color=DATA, label="data" if n == 1 else f"mean of {n} pixels", **steps)
    axes.plot(shown.wavelength, shown.model, color=MODEL, linewidth=0.85, label="best model")
    if _shade_masked(axes, shown):
        axes.fill_between([], [], color=MASKED, label="masked")
    axes.set_ylim(clear.limits)
    unit = "relative units" if relative else r"$10^{-17}\,\mathrm{erg\,s^{-1}\,cm^{-2}\,\AA^{-1}}$"
    axes.set_ylabel(rf"$f_\lambda$  [{unit}]")
    _ticks(axes, labelbottom=False)


def _noise_label(shown: ShownPixels) -> str:
    """What the band is: the reported noise, or what it was found to be."""
    scale = shown.noise_scale
    return r"$\pm 1\sigma$" if scale is None else rf"$\pm 1\sigma$, reported noise $\times$ {scale:.2f}"


def _draw_calibration(axes: Axes, shown: ShownPixels) -> None:
    """The factor between galaxy and model, about 1; arms stand apart."""
    assert shown.calibration is not None
    axes.axhline(1, color=BAND, linewidth=0.8)
    axes.plot(shown.wavelength, shown.calibration, color=CALIBRATION, linewidth=1.0)
    typical, largest = np.nanpercentile(np.abs(shown.calibration - 1), [90, 100])
    half = max(1.15 * min(largest, 6 * typical), 0.01)
    axes.set_ylim(1 - half, 1 + half)
    axes.set_ylabel("calibration\nfactor", fontsize=9)
    _shade_masked(axes, shown)
    _ticks(axes, labelbottom=False)
    step = max(d for d in CALIBRATION_STEPS if d <= 0.75 * half)
    axes.set_yticks([1 - step, 1, 1 + step])


def _draw_residuals(axes: Axes, shown: ShownPixels) -> None:
    residual = (shown.flux - shown.model) / shown.sigma
    finite = np.abs(residual[np.isfinite(residual)])
    half = float(np.clip(1.25 * np.percentile(finite, 99), 4.0, 12.0)) if finite.size else 4.0
    axes.axhspan(-1, 1, color=BAND, alpha=0.6, linewidth=0)
    axes.axhline(0, color=MODEL, linewidth=0.8)
    colour = DATA if shown.crowding == 1 else FAINT
    axes.plot(shown.wavelength, residual, drawstyle="steps-mid", color=colour, linewidth=0.5)
    if shown.crowding > 1:
        clear = shown.binned(shown.crowding)
        means = (clear.flux - clear.model) / clear.sigma
        axes.plot(clear.wavelength, means, drawstyle="steps-mid", color=DATA, linewidth=0.6)
    _shade_masked(axes, shown)
    axes.set_ylim(-half, half)
    axes.set_ylabel(r"residual / $\sigma$")
    axes.set_xlabel(r"observed wavelength, vacuum  [$\mathrm{\AA}$]", loc="left")
    axes.set_xlim(np.nanmin(shown.wavelength), np.nanmax(shown.wavelength))
    _ticks(axes)


def _ticks(axes: Axes, **options: Any) -> None:
    axes.minorticks_on()
    axes.tick_params(which="both", direction="in", right=True, labelsize=9, **options)


def _shade_masked(axes: Axes, shown: ShownPixels) -> bool:
    """Grey the runs of masked pixels; False if there are none."""
    masked = ~shown.good & np.isfinite(shown.wavelength)
    if not masked.any():
        return False
    turns = np.flatnonzero(np.diff(np.concatenate([[0], masked.astype(int), [0]])))
    pixel = np.nanmedian(np.abs(np.diff(shown.wavelength)))
    runs = [(shown.wavelength[a] - pixel / 2, shown.wavelength[b - 1]) for a, b in turns.reshape(-1, 2)]
    spans = [(low, high - low + pixel / 2) for low, high in runs]
    axes.broken_barh(spans, (0, 1), transform=axes.get_xaxis_transform(), color=MASKED, linewidth=0, zorder=0)
    return True


def _peak(draws: Floats) -> float:
    """Middle of the shortest interval that holds half of the draws: the main mode where there are several."""
    ordered = np.sort(draws)
    half = max(len(ordered) // 2, 1)
    start = int(np.argmin(ordered[half - 1 :] - ordered[: len(ordered) - half + 1]))
    return float(np.median(ordered[start : start + half]))


def _rest_frame_axis(axes: Axes, redshift: float) -> None:
    scale = 1 + redshift
    rest = axes.secondary_xaxis("top", functions=(partial(np.multiply, 1 / scale), partial(np.multiply, scale)))
    rest.set_xlabel(r"rest-frame wavelength  [$\mathrm{\AA}$]", loc="left")
    rest.minorticks_on()
    rest.tick_params(which="both", direction="in", labelsize=9)


def _fit_title(figure: Figure, row: Posterior, noise: float | None) -> None:
    best = row.best_fit
    assert best is not None
    values = titled_values(row, ("redshift", "log_stellar_mass", "log_sfr"))
    if best.n_good[0] > 0:
        reported = " (reported noise)" if noise is not None else ""
        values.append(rf"$\chi^2/n$ = {best.chi2[0] / best.n_good[0]:.2f}{reported}")
    row_title(figure, row, values, left=0.075)
