"""Is the likelihood of the emcee backend that of the mocks it is calibrated on? No chain is needed to tell.

    python -m benchmarks.emcee.scores --n 500

At the truth the derivative of ln L with respect to a coordinate, over the root of the Fisher information, has mean 0
and variance 1 whatever the coordinate and however curved the model (e.g. Lehmann & Casella 1998, sec. 2.5). Noise that
the likelihood does not know makes it larger, errors that it allows for and that are not there smaller.
"""

from __future__ import annotations

import argparse

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


def scores(model: GalaxyModel, mock: Mock, prior: GalaxyPrior) -> NDArray[np.float64]:
    """[N_DIM] scores of one mock at its truth; NaN where the spectrum tells nothing.

    The columns of the line factors are those at the truth; a fit takes those at the best galaxy it finds.
    """
    spectrum = Native.of(mock.batch).trimmed(0)
    columns = line_factors(model, mock.galaxy, spectrum.pixels)
    if columns.shape[1]:
        spectrum = spectrum.with_factors(columns)
    gradient, hessian = derivatives(Likelihood(model, spectrum, prior, RedshiftPrior()), mock.x)
    information = torch.diagonal(hessian[0]) - 1.0  # less that of the prior
    value = (gradient + mock.x)[0] / information.clamp(min=1e-12).sqrt()
    return np.asarray(torch.where(information > LEAST_INFORMATION, value, torch.nan).numpy())


def measured(
    instrument: str, n: int, seed: int, snr: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores [n, N_DIM] of n mocks of this signal-to-noise, and their log sSFR [n]."""
    mocks = MatchedMocks(get_instrument(instrument), EXPOSURES[instrument], seed, MAGNITUDES[instrument])
    model, found, activity = GalaxyModel(), [], []
    with shown_progress() as progress, torch.no_grad(), one_thread():
        for mock in mocks.drawn():
            if snr[0] <= median_snr(mock.batch) < snr[1]:
                found.append(scores(model, mock, mocks.prior))
                activity.append(mock.truth["log_ssfr"])
                progress(len(found), n, "scores")
            if len(found) == n:
                break
    return np.stack(found), np.array(activity)


def table(found: NDArray[np.float64], activity: NDArray[np.float64]) -> list[str]:
    """Mean and spread of the scores of each coordinate."""
    classes = {"star-forming": activity > STAR_FORMING, "quiescent": activity < QUIESCENT}
    lines = header("coordinate", *(f"{name}: {what}" for name in classes for what in ("mean", "spread")))
    for number, name in enumerate((*COORDINATES, "noise_scale")):
        cells = [cell for rows in classes.values() for cell in _cells(found[rows, number])]
        lines.append(row(name, *cells))
    return lines


def _cells(values: NDArray[np.float64]) -> tuple[str, str]:
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
    print("\n".join(table(*measured(options.instrument, options.n, options.seed, options.snr))))


if __name__ == "__main__":
    main()
