"""Observed spectrum, best model, residuals, and the lines named."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import GalfitMLError, SpectrumError
from galfit_ml.plots.canvas import (
    BAND,
    DATA,
    FAINT,
    MASKED,
    MODEL,
    new_figure,
    one_row,
    own_style,
    plain_text,
    shortened,
    value_with_errors,
)
from galfit_ml.plots.line_marks import mark_features
from galfit_ml.summary import flag_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from galfit_ml.parameters import Parameter
    from galfit_ml.posterior import Posterior

Floats = NDArray[np.float64]

CLEAR_SNR, POINTS_ACROSS = 5.0, 1500
"""Spectra of lower signal-to-noise per pixel are also shown averaged, to about so many points."""

_LEGEND: dict[str, Any] = {
    "fontsize": 8,
    "frameon": False,
    "borderaxespad": 0,
    "handlelength": 1.4,
    "columnspacing": 1.2,
}


def fit(posterior: Posterior, index: int = 0) -> Figure:
    """Observed spectrum, best model and residuals of spectrum `index`, with the lines named.

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
        return _fit_figure(row, _Shown.of(row))


def _fit_figure(row: Posterior, shown: _Shown) -> Figure:
    figure = new_figure(10.0, 6.2)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3.2, 1])
    figure.subplots_adjust(left=0.075, right=0.985, bottom=0.085, top=0.835, hspace=0.04)
    _draw_spectrum(top, shown, relative="RELATIVE_FLUX" in flag_names(row.flags[0]))
    _draw_residuals(bottom, shown)
    redshift = _peak(row["redshift"][0]) if "redshift" in row.parameters else 0.0
    mark_features(top, redshift)
    _rest_frame_axis(top, redshift)
    _fit_title(figure, row)
    figure.legend(
        *top.get_legend_handles_labels(), loc="lower right", ncols=5, bbox_to_anchor=(0.985, 0.015), **_LEGEND
    )
    return figure


@dataclass(frozen=True, eq=False)
class _Shown:
    """The pixels of one best fit, [n_pix] each, with a NaN pixel wherever the wavelengths jump (arms, gaps)."""

    wavelength: Floats
    flux: Floats
    sigma: Floats
    model: Floats
    good: NDArray[np.bool_]

    @classmethod
    def of(cls, row: Posterior) -> _Shown:
        best = row.best_fit
        assert best is not None
        keep = np.isfinite(best.wavelength[0]) & np.isfinite(best.model[0])
        if not keep.any():
            raise SpectrumError(f"{row.ids[0]} has no best model to plot.")
        wavelength, good = best.wavelength[0, keep], best.good[0, keep]
        ivar = best.ivar[0, keep]
        sigma = np.where(good & (ivar > 0), 1 / np.sqrt(np.where(ivar > 0, ivar, 1.0)), np.nan)
        flux = np.where(good, best.flux[0, keep], np.nan)
        step = np.diff(wavelength)
        jumps = 1 + np.flatnonzero((step <= 0) | (step > 5 * np.median(np.abs(step))))
        apart = partial(np.insert, obj=jumps, values=np.nan)
        model = best.model[0, keep]
        return cls(apart(wavelength), apart(flux), apart(sigma), apart(model), np.insert(good, jumps, True))

    @property
    def crowding(self) -> int:
        """How many pixels to average for the eye: 1, or more where many noisy ones would make a black wall."""
        snr = np.abs(self.flux) / self.sigma
        noisy = np.isfinite(snr).any() and np.nanmedian(snr) < CLEAR_SNR
        return max(1, len(self.flux) // POINTS_ACROSS) if noisy else 1

    def binned(self, n: int) -> _Shown:
        """Inverse-variance means over groups of n pixels; a group that spans a jump is NaN."""
        whole = len(self.flux) // n * n
        groups = [a[:whole].reshape(-1, n) for a in (self.wavelength, self.flux, self.sigma, self.model)]
        wavelength, flux, sigma, model = groups
        weight = np.where(np.isfinite(flux) & np.isfinite(sigma), sigma**-2.0, 0.0)
        total = np.where(weight.sum(axis=1) > 0, weight.sum(axis=1), np.nan)
        mean = np.where(weight > 0, weight * flux, 0.0).sum(axis=1) / total
        return _Shown(wavelength.mean(axis=1), mean, total**-0.5, model.mean(axis=1), np.isfinite(mean))

    @property
    def limits(self) -> tuple[float, float]:
        """Flux range to show: all of the model and nearly all of the data, with room for labels above and below."""
        continuum = np.nanpercentile(self.model, 90)
        data = self.flux[np.isfinite(self.flux)] if np.isfinite(self.flux).any() else self.model
        low = min(np.nanpercentile(self.model, 0.2), np.percentile(data, 1.0), 0.25 * continuum)
        high = max(np.nanmax(self.model), np.percentile(data, 99.5))
        high = min(high, max(12 * continuum, np.percentile(data, 99)))
        span = (high - low) or 1.0
        return low - 0.26 * span, high + 0.3 * span


def _draw_spectrum(axes: Axes, shown: _Shown, relative: bool) -> None:
    n = shown.crowding
    clear = shown if n == 1 else shown.binned(n)
    band: dict[str, Any] = {"step": "mid", "color": BAND, "alpha": 0.75, "linewidth": 0, "label": r"$\pm 1\sigma$"}
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


def _draw_residuals(axes: Axes, shown: _Shown) -> None:
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


def _shade_masked(axes: Axes, shown: _Shown) -> bool:
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


def _fit_title(figure: Figure, row: Posterior) -> None:
    best = row.best_fit
    assert best is not None
    values = [_value(row, p) for p in row.parameters if p.name in {"redshift", "log_stellar_mass", "log_sfr"}]
    values = [v for v in values if v]
    if best.n_good[0] > 0:
        values.append(rf"$\chi^2/n$ = {best.chi2[0] / best.n_good[0]:.2f}")
    plain_text(figure, 0.075, 0.985, shortened(row.ids[0], 70), fontsize=11, weight="bold", va="top")
    figure.text(0.075, 0.95, "     ".join(values), fontsize=10, va="top")
    if row.flags[0]:
        note = flag_names(row.flags[0]).replace("|", ", ").lower().replace("_", " ")
        plain_text(figure, 0.985, 0.985, note, fontsize=8, color=MODEL, ha="right", va="top")


def _value(row: Posterior, parameter: Parameter) -> str:
    """'label = median +up -down' in mathtext; "" where there is no value."""
    q16, q50, q84 = row.quantile(parameter.name, [0.16, 0.5, 0.84])[0]
    if not np.isfinite(q50):
        return ""
    unit = f" {parameter.unit}" if parameter.unit and not parameter.is_log else ""
    return f"{parameter.label} = {value_with_errors(q16, q50, q84)}{unit}"
