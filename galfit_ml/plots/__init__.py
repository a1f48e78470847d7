"""Figures of a posterior: the fit, the draws, the history of a galaxy, the sampler's trace, and the latent space.

Figures are made without pyplot: no global state, no window, no change of the user's backend. In a notebook the last
expression of a cell shows them; anywhere else write `figure.savefig("fit.png")`.
"""

from galfit_ml.features import FEATURES, Feature
from galfit_ml.plots.available import available
from galfit_ml.plots.corner_figure import corner
from galfit_ml.plots.embedding_figure import embedding
from galfit_ml.plots.fit_figure import fit
from galfit_ml.plots.history_figure import history
from galfit_ml.plots.saliency_figure import saliency, stacked_saliency
from galfit_ml.plots.trace_figure import trace

__all__ = [
    "FEATURES",
    "Feature",
    "available",
    "corner",
    "embedding",
    "fit",
    "history",
    "saliency",
    "stacked_saliency",
    "trace",
]
