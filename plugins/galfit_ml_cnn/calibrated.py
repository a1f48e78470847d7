"""What was learnt of a network on simulations after its training: calibration, quality, and what it knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galfit_ml.calibration import Calibration, Reliability, along_nodes
from galfit_ml_cnn.detector import Detector

Floats = NDArray[np.float64]

REGULAR = 1e-3
"""Added to the variance of each direction of the cloud, in units of the mean one."""

KNOWN_SHARE = 0.999
"""Share of the simulations that counts as known."""


@dataclass(frozen=True, eq=False)
class Cloud:
    """Embeddings of simulations, as a normal density.

    Args:
        mean: [n_embedding].
        whitening: [n_embedding, n_embedding] that gives deviations unit covariance.
        limit: distance within which `KNOWN_SHARE` of the simulations lie.
    """

    mean: Floats
    whitening: Floats
    limit: float

    @classmethod
    def fit(cls, embedding: Floats) -> Cloud:
        """From embeddings [n, n_embedding]."""
        mean = embedding.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(embedding.T))
        whitening = vectors / np.sqrt(np.maximum(values, 0) + REGULAR * values.mean())
        distance = np.linalg.norm((embedding - mean) @ whitening, axis=1)
        return cls(mean, whitening, float(np.quantile(distance, KNOWN_SHARE)))

    def score(self, embedding: Floats) -> Floats:
        """[n] Mahalanobis distance over the limit: above 1 a spectrum is unlike the simulations."""
        return np.asarray(np.linalg.norm((embedding - self.mean) @ self.whitening, axis=1) / self.limit)


@dataclass(frozen=True, eq=False)
class Calibrated:
    """What turns a network's answers into calibrated ones.

    Args:
        temperature: [n_nodes] by which logits of the redshift are divided, at the nodes of `galfit_ml.calibration`.
        calibration: one map for each parameter.
        known: the same for the properties where the redshift is known.
        reliability: stated probability of the best redshift to how often it is right.
        cloud: embeddings of simulations.
        detector: of what is no galaxy; None in older files.
    """

    temperature: Floats
    calibration: Calibration
    known: Calibration
    reliability: Reliability
    cloud: Cloud
    detector: Detector | None = None

    def temperature_at(self, snr: Floats) -> Floats:
        """[n] temperature at measured signal-to-noise [n]."""
        return along_nodes(self.temperature, snr)

    def arrays(self) -> dict[str, Floats]:
        """All of it as arrays."""
        return {
            "temperature": self.temperature,
            "stated": self.reliability.stated,
            "right": self.reliability.right,
            "mean": self.cloud.mean,
            "whitening": self.cloud.whitening,
            "limit": np.array([self.cloud.limit]),
            **_named("map.", self.calibration.arrays()),
            **_named("known.", self.known.arrays()),
            **({} if self.detector is None else _named("detector.", self.detector.arrays())),
        }

    @classmethod
    def of(cls, arrays: Mapping[str, Floats]) -> Calibrated:
        """The inverse of `arrays`; KeyError where one is missing."""
        maps, known, detector = (
            {name.removeprefix(kind): array for name, array in arrays.items() if name.startswith(kind)}
            for kind in ("map.", "known.", "detector.")
        )
        return cls(
            arrays["temperature"],
            Calibration.of(maps),
            Calibration.of(known),
            Reliability(arrays["stated"], arrays["right"]),
            Cloud(arrays["mean"], arrays["whitening"], float(arrays["limit"][0])),
            Detector.of(detector) if detector else None,
        )


def _named(prefix: str, arrays: Mapping[str, Floats]) -> dict[str, Floats]:
    return {prefix + name: array for name, array in arrays.items()}
