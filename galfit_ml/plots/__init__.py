"""Figures of a posterior: the fit over the data, the corner of its draws, and the latent space.

Figures are made without pyplot: no global state, no window, no change of the user's backend. In a notebook the last
expression of a cell shows them; anywhere else write `figure.savefig("fit.png")`.
"""

from galfit_ml.features import FEATURES, Feature
from galfit_ml.plots.corner_figure import corner
from galfit_ml.plots.embedding_figure import embedding
from galfit_ml.plots.fit_figure import fit
from galfit_ml.plots.saliency_figure import saliency, stacked_saliency

__all__ = ["FEATURES", "Feature", "corner", "embedding", "fit", "saliency", "stacked_saliency"]
