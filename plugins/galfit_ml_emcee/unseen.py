"""Coordinates that a spectrum cannot know anything of: the lines they move lie outside its pixels.

Their posterior is the prior, which is drawn when the chain is done; neither the search nor the sampler spends a model
on them.
"""

from __future__ import annotations

from galfit_ml.simulate.density import DOUBLETS
from galfit_ml.simulate.emission import LYMAN_ALPHA
from galfit_ml.simulate.interstellar import SODIUM, ULTRAVIOLET, Ion
from galfit_ml.simulate.pixels import Pixels
from galfit_ml.simulate.prior import GalaxyPrior, coordinate
from galfit_ml.simulate.smoothing import C_KMS

MARGIN_KMS = 5000.0
"""A line this near to the pixels is taken to be seen."""


def _lines(ions: tuple[Ion, ...]) -> tuple[float, ...]:
    return tuple(wavelength for ion in ions for wavelength, _ in ion.lines)


LINES_OF = {
    "lya_escape": (LYMAN_ALPHA,),
    "log_density": tuple(line for doublet in DOUBLETS for line in (doublet.blue, doublet.red)),
    "log_ism_depth": _lines(ULTRAVIOLET),
    "ism_velocity": _lines(ULTRAVIOLET),
    "log_sodium": _lines(SODIUM),
}
"""Rest wavelengths, A, at which a coordinate acts; those not named act everywhere."""


def unseen(prior: GalaxyPrior, pixels: Pixels) -> tuple[int, ...]:
    """Positions in the cube of the coordinates that move no pixel at any redshift of the prior."""
    margin = 1 + MARGIN_KMS / C_KMS
    arms = [(float(e[0]) / margin, float(e[-1]) * margin) for e in pixels.edges]
    low, high = (1 + z for z in prior.redshift)

    def seen(line: float) -> bool:
        return any(line * high > first and line * low < last for first, last in arms)

    return tuple(sorted(coordinate(name) for name, lines in LINES_OF.items() if not any(map(seen, lines))))
