"""Figures of a posterior: the fit over the data, and the corner of its draws.

Figures are made without pyplot: no global state, no window, no change of the user's backend. In a notebook the last
expression of a cell shows them; anywhere else write `figure.savefig("fit.png")`.
"""

from galfit_ml.plots.corner_figure import corner
from galfit_ml.plots.features import FEATURES, Feature
from galfit_ml.plots.fit_figure import fit

__all__ = ["FEATURES", "Feature", "corner", "fit"]
