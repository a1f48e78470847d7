"""Is the likelihood of the emcee backend that of the mocks it is calibrated on? No chain is needed to tell.

    python -m benchmarks.emcee.scores --n 500

At the truth the derivative of ln L with respect to a coordinate, over the root of the Fisher information, has mean 0
and variance 1 whatever the coordinate and however curved the model (e.g. Lehmann & Casella 1998, sec. 2.5). Noise that
the likelihood does not know makes it larger, errors that it allows for and that are not there smaller.

The same derivatives tell where a chain would put the truth: the posterior's mean lies H^-1 g away from it, with H the
negative second derivatives of the ln posterior and g its first ones, where the posterior is nearly Gaussian. That shift
over the posterior's width has a spread of 1 and lies within +-1 in 68 % of mocks: what calibration of a perfect sampler
would show, from as many mocks as one likes.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.emcee.calibration import EXPOSURES, MAGNITUDES
from benchmarks.emcee.matched import MatchedMocks, Mock, median_snr
from benchmarks.limits.options import number_range
from benchmarks.limits.tables import QUIESCENT, STAR_FORMING
from benchmarks.network.tables import header, row
from galfit_ml.instruments import get_instrument
from galfit_ml.progress import shown_progress
from galfit_ml.redshift_prior import RedshiftPrior
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.prior import COORDINATES, GalaxyPrior
from galfit_ml.simulate.threads import one_thread
from galfit_ml_emcee.likelihood import Likelihood
from galfit_ml_emcee.line_error import line_factors
from galfit_ml_emcee.optimise import derivatives
from galfit_ml_emcee.trim import Native

LEAST_INFORMATION = 1e-4
"""Coordinates that a spectrum tells less of have no score: rounding would be all of it."""


TIGHT = 0.5
"""Width of a posterior, in probits of the prior, below which it counts as nearly Gaussian."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Judged:
    """What the derivatives at the truth of a mock (or of n) say of each coordinate, [N_DIM] ([n, N_DIM]).

    Args:
        score: derivative of ln L over the root of its information; NaN where the spectrum tells nothing.
        shift: the posterior's mean less the truth, over `width`.
        width: of the posterior, probits of the prior.
    """

    score: Floats
    shift: Floats
    width: Floats


def judged(model: GalaxyModel, mock: Mock, prior: GalaxyPrior) -> Judged:
    """One mock at its truth.

    The columns of the line factors are those at the truth; a fit takes those at the best galaxy it finds.
    """
    spectrum = Native.of(mock.batch).trimmed(0)
    columns = line_factors(model, mock.galaxy, spectrum.pixels)
    if columns.shape[1]:
        spectrum = spectrum.with_factors(columns)
    gradient, hessian = derivatives(Likelihood(model, spectrum, prior, RedshiftPrior()), mock.x)
    information = torch.diagonal(hessian[0]) - 1.0  # less that of the prior
    value = (gradient + mock.x)[0] / information.clamp(min=1e-12).sqrt()
    score = torch.where(information > LEAST_INFORMATION, value, torch.nan)
    covariance = torch.linalg.inv(hessian[0])
    width = torch.diagonal(covariance).sqrt()
    return Judged(*(np.asarray(t.numpy()) for t in (score, covariance @ gradient[0] / width, width)))


def measured(instrument: str, n: int, seed: int, snr: tuple[float, float]) -> tuple[Judged, Floats]:
    """n mocks of this signal-to-noise, and their log sSFR [n]."""
    mocks = MatchedMocks(get_instrument(instrument), EXPOSURES[instrument], seed, MAGNITUDES[instrument])
    model, found, activity = GalaxyModel(), [], []
    with shown_progress() as progress, torch.no_grad(), one_thread():
        for mock in mocks.drawn():
            if snr[0] <= median_snr(mock.batch) < snr[1]:
                found.append(judged(model, mock, mocks.prior))
                activity.append(mock.truth["log_ssfr"])
                progress(len(found), n, "scores")
            if len(found) == n:
                break
    stacked = (np.stack([getattr(one, name) for one in found]) for name in ("score", "shift", "width"))
    return Judged(*stacked), np.array(activity)


def table(found: Judged, activity: Floats) -> list[str]:
    """Mean and spread of the scores of each coordinate."""
    lines = header("coordinate", *(f"{name}: {what}" for name in classes(activity) for what in ("mean", "spread")))
    for number, name in enumerate((*COORDINATES, "noise_scale")):
        cells = [cell for rows in classes(activity).values() for cell in _cells(found.score[rows, number])]
        lines.append(row(name, *cells))
    return lines


def shift_table(found: Judged, activity: Floats) -> list[str]:
    """Spread of the shifts of each coordinate and how many lie within +-1, where posteriors are tight."""
    lines = header("coordinate", *(f"{name}: {what}" for name in classes(activity) for what in ("n", "spread", "68 %")))
    for number, name in enumerate((*COORDINATES, "noise_scale")):
        tight = found.width[:, number] < TIGHT
        cells = [c for rows in classes(activity).values() for c in _shift_cells(found.shift[rows & tight, number])]
        lines.append(row(name, *cells))
    return lines


def classes(activity: Floats) -> dict[str, NDArray[np.bool_]]:
    """Which mocks form stars and which do not, [n] each."""
    return {"star-forming": activity > STAR_FORMING, "quiescent": activity < QUIESCENT}


def _shift_cells(values: Floats) -> tuple[str, str, str]:
    n = len(values)
    if n < 10:
        return str(n), "-", "-"
    spread, inside = values.std(), float((np.abs(values) < 1).mean())
    error = (inside * (1 - inside) / n) ** 0.5
    return str(n), f"{spread:.2f} ± {spread / (2 * n) ** 0.5:.2f}", f"{inside:.2f} ± {error:.2f}"


def _cells(values: Floats) -> tuple[str, str]:
    known = values[np.isfinite(values)]
    if len(known) < 10:
        return "-", "-"
    n, spread = len(known), known.std()
    return f"{known.mean():+.2f} ± {spread / n**0.5:.2f}", f"{spread:.2f} ± {spread / (2 * n) ** 0.5:.2f}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instrument", default="sdss", choices=sorted(MAGNITUDES))
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--snr", type=number_range, default=(2.0, 40.0), metavar="LOW:HIGH")
    options = parser.parse_args()
    found, activity = measured(options.instrument, options.n, options.seed, options.snr)
    print("\n".join(["Scores", "", *table(found, activity), "", "Shifts", "", *shift_table(found, activity)]))


if __name__ == "__main__":
    main()
