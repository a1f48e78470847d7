"""Names of lines on a spectrum, spread so that none covers another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.features import FEATURES
from galfit_ml.plots.canvas import ABSORPTION, EMISSION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]


def mark_features(axes: Axes, redshift: float) -> None:
    """Label each line within the axes' range, for a spectrum at `redshift`: emission at the top, absorption below."""
    low, high = axes.get_xlim()
    for emission, colour, base, tip in ((True, EMISSION, 0.985, "top"), (False, ABSORPTION, 0.02, "bottom")):
        present = [f for f in FEATURES if f.emission == emission]
        inside = [f for f in present if low < np.mean(f.wavelengths) * (1 + redshift) < high]
        centres = np.array([np.mean(f.wavelengths) * (1 + redshift) for f in inside])
        places = spread_apart(centres, 0.017 * (high - low), low, high)
        for feature, place in zip(inside, places, strict=True):
            waves = np.array(feature.wavelengths) * (1 + redshift)
            _mark(axes, feature.label, waves, float(place), (colour, base, tip))


def _mark(axes: Axes, label: str, waves: Floats, place: float, style: tuple[str, float, str]) -> None:
    """One label at `place`, joined to a tick at each wavelength: emission at the top, absorption at the bottom."""
    from matplotlib.patheffects import withStroke

    colour, base, tip = style
    frame = axes.get_xaxis_transform()
    near, far = (0.835, 0.805) if tip == "top" else (0.155, 0.185)
    halo = withStroke(linewidth=2.0, foreground="white")
    text: dict[str, Any] = {
        "path_effects": [halo],
        "rotation": 90,
        "ha": "center",
        "va": tip,
        "fontsize": 8,
        "color": colour,
    }
    axes.text(place, base, label, transform=frame, **text)
    for wave in waves:
        axes.plot([place, wave], [near, far], transform=frame, color=colour, linewidth=0.6)
        reach = [far, 0.03] if tip == "top" else [far, 0.97]
        axes.plot([wave, wave], reach, transform=frame, color=colour, linewidth=0.5, alpha=0.28, zorder=0.5)


def spread_apart(centres: Floats, gap: float, low: float, high: float) -> Floats:
    """Positions nearest to `centres` (least squares) that lie at least `gap` apart, in the order of the centres."""
    from scipy.optimize import isotonic_regression

    if not len(centres):
        return centres
    order = np.argsort(centres)
    steps = gap * np.arange(len(centres))
    apart = isotonic_regression(centres[order] - steps).x
    places = np.empty_like(centres)
    places[order] = np.clip(apart, low + gap / 2, high - gap / 2 - steps[-1]) + steps
    return places
