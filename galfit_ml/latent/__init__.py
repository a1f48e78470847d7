"""What a latent space knows: projections, linear probes, matched samples, comparisons.

`Posterior.embedding` is a layer of a network that was trained to predict properties of galaxies and nothing else.
Whether something that it was never told (a morphological type, say) can be read off it is asked with *linear* probes,
out of fold.
"""

from galfit_ml.errors import MissingPackageError
from galfit_ml.latent.checks import LatentError
from galfit_ml.latent.comparison import Comparison, compare_classes, compare_values
from galfit_ml.latent.features import embedding_of, log_ssfr, medians
from galfit_ml.latent.matching import imbalance, matched_pairs
from galfit_ml.latent.probe import Classified, Folds, Regressed, classify, regress
from galfit_ml.latent.projection import Projection, pca, project, umap

__all__ = [
    "Classified",
    "Comparison",
    "Folds",
    "LatentError",
    "MissingPackageError",
    "Projection",
    "Regressed",
    "classify",
    "compare_classes",
    "compare_values",
    "embedding_of",
    "imbalance",
    "log_ssfr",
    "matched_pairs",
    "medians",
    "pca",
    "project",
    "regress",
    "umap",
]
