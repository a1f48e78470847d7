"""A surrogate of the posterior density of one spectrum: fifty times cheaper than the galaxy model, an e-fold off.

Residuals in units of the noise, linear errors whitened at the best model, are compressed to some singular vectors;
each coefficient is regressed on the coordinates (linear, quadratic, bends along each of them, and products of bends of
those that shape the stars' light; ridge). Sampling the surrogate is cheap; what it gets wrong is put right by an
acceptance step with the true density (`moves.SurrogateMove`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galfit_ml.simulate.prior import coordinate
from galfit_ml_emcee.likelihood import NOISE_SCALE_SIGMA
from galfit_ml_emcee.target import Target

Floats = NDArray[np.float64]

VECTORS = 120
LEAST_VECTOR = 1e-3
"""Singular vectors that matter less than this (in chi, rms) are left out."""

BENDS, BEND_WIDTH = (-2.0, -1.0, 0.0, 1.0, 2.0), 0.5
"""Where each coordinate's own tanh features bend, and how sharply: the model has kinks where its grids have nodes."""

TOGETHER = (
    *("log_ssfr", "log_burstiness", "burst_age", "log_burst_fraction", "formation_age", "tau"),
    *("log_metallicity", "dust_av"),
)
"""Coordinates of which any two bend together: what a burst adds depends on its age as on its mass."""

SOFT_BENDS, SOFT_WIDTH = (-1.5, 0.0, 1.5), 1.0
"""Where they do so, and how softly: products of three bends each, for every pair."""

RIDGE, BENT_RIDGE = 1e-5, 1e-4
"""Of the quadratic features, and of those that bend: where no point has taught them they had better be small."""

BASIS_ROWS = 700
DEPTH = 400.0
"""Points whose ln density lies that far below the best teach nothing."""

NEAR, SCALE, LEAST_WEIGHT = 15.0, 12.0, np.exp(-4.0)
"""Weight of a training point: 1 down to `NEAR` below the best ln density, then falling e-fold by e-fold of `SCALE`."""

MOST_CHI2 = 1e9
CHUNK = 256


class Whitening:
    """Residuals of models in units of the noise with the linear errors at one model whitened, [n, n_pix] float32.

    Args:
        target: the density.
        best: [n_free] the point whose errors are whitened.
    """

    def __init__(self, target: Target, best: Floats) -> None:
        likelihood = target.likelihood
        self.target, self.root = target, torch.sqrt(likelihood.spectrum.ivar)
        x = torch.as_tensor(target.full(best[None]))
        model = likelihood.spectra(x).flux
        self.precision = float(likelihood.precision(x))
        self._axes = []
        for arm in likelihood.arms:
            errors = torch.cat([arm.factors * model[0, arm.pixels, None], arm.terms], dim=1)
            errors = (errors * self.root[arm.pixels, None]).double()
            size, axes = torch.linalg.eigh(errors.T @ errors)
            kept = size > 1e-6
            unit = (errors @ axes[:, kept]) / size[kept].sqrt()
            shrink = 1 - 1 / torch.sqrt(1 + self.precision * size[kept])
            self._axes.append((arm.pixels, unit.float(), shrink.float()))

    def __call__(self, points: Floats) -> tuple[Floats, Tensor]:
        """ln density [n] and residuals [n, n_pix] of points [n, n_free]."""
        values, rows = [], []
        for start in range(0, len(points), CHUNK):
            x = torch.as_tensor(self.target.full(points[start : start + CHUNK]))
            value, made, _ = self.target.likelihood.evaluate(x)
            residual = (self.target.likelihood.spectrum.flux - made.flux) * self.root
            for pixels, unit, shrink in self._axes:
                residual[:, pixels] -= ((residual[:, pixels] @ unit) * shrink) @ unit.T
            values.append(value)
            rows.append(residual * self.precision**0.5)
        return torch.cat(values).numpy(), torch.cat(rows)


class Compression:
    """Residuals as coefficients of their singular vectors.

    Args:
        residuals: [n, n_pix] to learn the vectors from.
    """

    def __init__(self, residuals: Tensor) -> None:
        middle = residuals.mean(dim=0)
        rows = residuals - middle
        # Of the small matrix of inner products: a tenth of the time of a singular value decomposition.
        power, left = torch.linalg.eigh((rows @ rows.T).double())
        power, left = power.flip(0)[:VECTORS], left.flip(1)[:, :VECTORS]
        kept = power > LEAST_VECTOR**2 * len(rows)
        vectors = (left[:, kept] / power[kept].sqrt()).float().T @ rows
        self.vectors = torch.linalg.qr(vectors.T).Q.T.contiguous()
        self.rest = float((middle - (middle @ self.vectors.T) @ self.vectors).double().square().sum())

    def __call__(self, residuals: Tensor) -> Tensor:
        """Coefficients [n, k]."""
        return residuals @ self.vectors.T


def pairs_of(free: Sequence[int]) -> Tensor:
    """[2, n_pair] places, among the free coordinates, of every two of `TOGETHER`."""
    places = [free.index(c) for c in map(coordinate, TOGETHER) if c in free]
    return torch.tensor(list(combinations(places, 2)), dtype=torch.int64).reshape(-1, 2).T.contiguous()


@dataclass(frozen=True, eq=False)
class Surrogate:
    """ln density of points, up to a constant.

    Args:
        middle, turn: [d] and [d, d]: points are whitened by turn (x - middle).
        weights: [n_feature, k] of the regression.
        rest: chi^2 outside the singular vectors, at `precision`.
        precision: noise scale to the power -2 at which residuals were whitened.
        n_good: number of pixels.
        noise: place of the noise scale among the free coordinates.
        pairs: [2, n_pair] places of the coordinates that bend together.
        redshift: place of the redshift among the free coordinates; any number where `known` is empty.
        known: [2, m] what the user knows: places in the unit interval of the redshift's prior, and ln density there.
    """

    middle: Tensor
    turn: Tensor
    weights: Tensor
    rest: float
    precision: float
    n_good: int
    noise: int
    pairs: Tensor
    redshift: int
    known: Tensor

    def __call__(self, points: Floats) -> Floats:
        """ln density [n] of points [n, d]."""
        x = torch.as_tensor(points)
        chi2 = (self.features(x) @ self.weights).double().square().sum(1).clamp(max=MOST_CHI2) + self.rest
        log_scale = NOISE_SCALE_SIGMA * x[:, self.noise]
        value = -0.5 * (chi2 * torch.exp(-2 * log_scale) / self.precision + x.square().sum(1))
        value = value - self.n_good * log_scale
        if self.known.shape[1]:
            place = torch.special.ndtr(x[:, self.redshift])
            value = value + torch.as_tensor(np.interp(place, *self.known.numpy()))
        return np.asarray(value.numpy())

    def features(self, x: Tensor) -> Tensor:
        """Features [n, n_feature] of points [n, d]."""
        z = (x - self.middle).float() @ self.turn.T
        first, second = torch.triu_indices(z.shape[1], z.shape[1])
        squares = z.index_select(1, first) * z.index_select(1, second)  # a quarter of the time of z[:, first]
        centres = torch.tensor(BENDS)[:, None]
        bends = torch.tanh((x.float()[:, None] - centres) / BEND_WIDTH).flatten(1)
        return torch.cat([z.new_ones(len(z), 1), z, 0.5 * squares, bends, self._bent_together(x)], dim=1)

    def _bent_together(self, x: Tensor) -> Tensor:
        """Products of soft bends, [n, n_pair * len(SOFT_BENDS)^2]."""
        soft = torch.tanh((x.float()[:, :, None] - torch.tensor(SOFT_BENDS)) / SOFT_WIDTH)
        one, other = soft.index_select(1, self.pairs[0]), soft.index_select(1, self.pairs[1])
        return (one[..., None] * other[..., None, :]).flatten(1)


class Pupil:
    """Learns a surrogate from points of which it asks the true density: a weighted ridge regression.

    The singular vectors are those of the first points, and once more of those and the first points it asked about.

    Args:
        whitening: gives true densities and residuals.
        points: [n, d] to begin with.
    """

    def __init__(self, whitening: Whitening, points: Floats) -> None:
        self.whitening = whitening
        self.points, self.boosts = points, np.ones(len(points))
        self.log_density, first = whitening(points)
        self._first: Tensor | None = first
        order = torch.as_tensor(np.argsort(self.log_density)[::-1].copy())
        self._sample = first[order[:BASIS_ROWS]]
        self.compression = Compression(self._sample)
        self.coefficients = self.compression(first)
        self._drop_hopeless()

    def best(self, n: int) -> Floats:
        """The n best points, [n, d]; over again where there are fewer."""
        return self.points[np.resize(np.argsort(self.log_density)[::-1], n)]

    def upper_half(self) -> Floats:
        """The better half of the points."""
        return self.points[self.log_density >= np.median(self.log_density)]

    def ask(self, points: Floats, *, boost: float = 1.0) -> Floats:
        """True ln density [n] of points [n, d], which are remembered with this weight."""
        log_density, residuals = self.whitening(points)
        if self._first is not None:
            self.compression = Compression(torch.cat([self._sample, residuals[:BASIS_ROWS]]))
            self.coefficients = self.compression(self._first)
            self._first = None
        self.points = np.concatenate([self.points, points])
        self.boosts = np.append(self.boosts, np.full(len(points), boost))
        self.log_density = np.append(self.log_density, log_density)
        self.coefficients = torch.cat([self.coefficients, self.compression(residuals)])
        self._drop_hopeless()
        return log_density

    def _drop_hopeless(self) -> None:
        """Points without a model, or far below the best, teach nothing."""
        known = np.isfinite(self.log_density)
        known &= self.log_density > self.log_density[known].max(initial=-np.inf) - DEPTH
        rows = torch.as_tensor(known)
        self.points, self.log_density = self.points[known], self.log_density[known]
        self.boosts = self.boosts[known]
        self.coefficients = self.coefficients[rows]
        if self._first is not None:
            self._first = self._first[rows]

    def surrogate(self) -> Surrogate:
        """What it knows."""
        points, target, d = self.points, self.whitening.target, self.points.shape[1]
        root = np.linalg.cholesky(np.cov(points.T) + 1e-6 * np.eye(d))
        blank = Surrogate(
            middle=torch.as_tensor(points.mean(axis=0)),
            turn=torch.as_tensor(np.linalg.inv(root)).float(),
            weights=torch.zeros(0, 0),
            rest=self.compression.rest,
            precision=self.whitening.precision,
            n_good=target.likelihood.spectrum.n_good,
            noise=d - 1,
            pairs=pairs_of(target.free),
            redshift=max(target.redshift_place, 0),
            known=torch.as_tensor(target.known_redshift),
        )
        features = blank.features(torch.as_tensor(points))
        weighted = features * self._weights()
        normal = (weighted.T @ features).double()
        ridge = torch.full((features.shape[1],), BENT_RIDGE, dtype=torch.float64)
        ridge[: 1 + d + d * (d + 1) // 2] = RIDGE
        normal.diagonal().add_(ridge * float(weighted[:, 0].sum()))
        return replace(blank, weights=torch.linalg.solve(normal, (weighted.T @ self.coefficients).double()).float())

    def _weights(self) -> Tensor:
        """[n, 1]; see `NEAR`."""
        below = (self.log_density - self.log_density.max() + NEAR) / SCALE
        weights = self.boosts * np.maximum(np.exp(np.minimum(below, 0.0)), LEAST_WEIGHT)
        return torch.as_tensor(weights).float()[:, None]
