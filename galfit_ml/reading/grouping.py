"""Spectra that share grids become one batch; grids cut differently from one lattice are padded, never resampled."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galfit_ml.grid import WavelengthGrid
from galfit_ml.reading.result import Group
from galfit_ml.spectra import ArmSpectra, SpectrumBatch

MIN_LATTICE_PIXELS = 16
MAX_JITTER = 5e-3
"""Pixels by which a wavelength may lie off its lattice: SDSS stores its logarithm in 32 bits, good to 1.2e-3 pixel."""


@dataclass(frozen=True)
class Lattice:
    """Part of a grid uniform in log10 of the wavelength: pixel k is centred at 10 ** (step (k + phase)) angstrom.

    Args:
        step: dex.
        phase: pixels, 0 <= phase < 1.
        first: k of the first pixel.
        n_pix: number of pixels.
    """

    step: float
    phase: float
    first: int
    n_pix: int

    @classmethod
    def of(cls, grid: WavelengthGrid) -> Lattice | None:
        """The lattice a grid lies on; None if it is not uniform in log10 wavelength.

        Step and phase are rounded to what the wavelengths can tell (phase: 1e-3 pixel), without looking at any other
        spectrum, so that a spectrum gets the same wavelengths alone and in any company.
        """
        if len(grid) < MIN_LATTICE_PIXELS:
            return None
        log_wave = np.log10(grid.centres)
        index = np.arange(len(grid))
        step = _round_step(float(log_wave[-1] - log_wave[0]) / (len(grid) - 1), len(grid))
        start = log_wave / step - index
        offset = round(float(start.mean()), 3)
        if np.abs(start - offset).max() > MAX_JITTER:
            return None
        first = int(np.floor(offset))
        return cls(step, round(offset - first, 3), first, len(grid))

    @property
    def end(self) -> int:
        """k after the last pixel."""
        return self.first + self.n_pix

    def joined(self, other: Lattice) -> Lattice:
        """The shortest lattice that holds both."""
        first, end = min(self.first, other.first), max(self.end, other.end)
        return Lattice(self.step, self.phase, first, end - first)

    def overlap(self, other: Lattice) -> int:
        """Number of pixels in common."""
        return max(0, min(self.end, other.end) - max(self.first, other.first))

    @property
    def grid(self) -> WavelengthGrid:
        """The pixels."""
        k = self.first + self.phase + np.arange(self.n_pix + 1, dtype=np.float64)
        return WavelengthGrid(np.power(10.0, self.step * (k - 0.5)), np.power(10.0, self.step * k[:-1]))


def _round_step(step: float, n_pix: int) -> float:
    """The step with four significant digits if that moves no pixel by more than 2e-3 of one, else with nine."""
    short = float(f"{step:.4g}")
    return short if abs(step / short - 1.0) * n_pix < 2e-3 else float(f"{step:.9g}")


@dataclass(frozen=True, eq=False)
class Located:
    """A batch, the positions of its rows, and the lattice of each arm (None where an arm has none)."""

    positions: NDArray[np.intp]
    batch: SpectrumBatch
    lattices: tuple[Lattice | None, ...]

    @classmethod
    def of(cls, positions: NDArray[np.intp], batch: SpectrumBatch) -> Located:
        """Find the lattices."""
        return cls(positions, batch, tuple(Lattice.of(arm.grid) for arm in batch.arms))

    @property
    def key(self) -> Hashable:
        """Equal for batches that can be joined."""
        axes = [
            (arm.name, arm.grid.key() if lattice is None else (lattice.step, lattice.phase))
            for arm, lattice in zip(self.batch.arms, self.lattices, strict=True)
        ]
        return (self.batch.instrument, *axes)

    @property
    def start(self) -> tuple[int, ...]:
        """First pixel of each arm on its lattice."""
        return tuple(0 if lattice is None else lattice.first for lattice in self.lattices)


def group(pieces: Sequence[tuple[NDArray[np.intp], SpectrumBatch]]) -> tuple[Group, ...]:
    """Join batches of the same instrument and grids, in the order of their first positions.

    Args:
        pieces: positions in the user's order [n], and the batch of those n rows.
    """
    families: dict[Hashable, list[Located]] = {}
    for positions, batch in pieces:
        located = Located.of(positions, batch)
        families.setdefault(located.key, []).append(located)
    groups = [_join(cluster) for family in families.values() for cluster in _clusters(family)]
    return tuple(sorted(groups, key=lambda g: int(g.positions[0])))


def _clusters(family: Sequence[Located]) -> list[list[Located]]:
    """Split a family where padding would outweigh data: members of a cluster overlap it by half of their pixels."""
    clusters: list[list[Located]] = []
    union: tuple[Lattice | None, ...] = ()
    for member in sorted(family, key=lambda m: m.start):
        if clusters and _fits(member.lattices, union):
            clusters[-1].append(member)
            union = tuple(u and m and u.joined(m) for u, m in zip(union, member.lattices, strict=True))
        else:
            clusters.append([member])
            union = member.lattices
    return clusters


def _fits(lattices: Sequence[Lattice | None], union: Sequence[Lattice | None]) -> bool:
    pairs = zip(lattices, union, strict=True)
    return all(m is None or u is None or m.overlap(u) >= 0.5 * m.n_pix for m, u in pairs)


def _join(members: list[Located]) -> Group:
    members = sorted(members, key=lambda m: int(m.positions[0]))
    batches = [m.batch for m in members]
    joined = SpectrumBatch(
        batches[0].instrument,
        tuple(_join_arm(members, i) for i in range(len(batches[0].arms))),
        tuple(name for b in batches for name in b.ids),
        np.concatenate([b.flags for b in batches]),
        tuple(reason for b in batches for reason in b.reasons),
        tuple(meta for b in batches for meta in b.meta),
    )
    return Group(np.concatenate([m.positions for m in members]), joined)


def _join_arm(members: Sequence[Located], index: int) -> ArmSpectra:
    arms = [m.batch.arms[index] for m in members]
    lattices = [m.lattices[index] for m in members]
    if lattices[0] is None:
        columns = [np.concatenate([getattr(a, name) for a in arms]) for name in ("flux", "ivar", "bad", "lsf_sigma")]
        return ArmSpectra(arms[0].name, arms[0].grid, *columns)
    return _padded(arms, [lattice for lattice in lattices if lattice is not None])


def _padded(arms: Sequence[ArmSpectra], lattices: Sequence[Lattice]) -> ArmSpectra:
    """All spectra on the union of their lattices; pixels a spectrum does not have are bad, with the LSF of its edge."""
    union = lattices[0]
    for lattice in lattices[1:]:
        union = union.joined(lattice)
    shape = (sum(len(a.flux) for a in arms), union.n_pix)
    flux, ivar, sigma = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    bad = np.ones(shape, dtype=bool)
    row = 0
    for arm, lattice in zip(arms, lattices, strict=True):
        rows, left = slice(row, row + len(arm.flux)), lattice.first - union.first
        right = left + lattice.n_pix
        flux[rows, left:right], ivar[rows, left:right], bad[rows, left:right] = arm.flux, arm.ivar, arm.bad
        sigma[rows, left:right] = arm.lsf_sigma
        sigma[rows, :left], sigma[rows, right:] = arm.lsf_sigma[:, :1], arm.lsf_sigma[:, -1:]
        row += len(arm.flux)
    return ArmSpectra(arms[0].name, union.grid, flux, ivar, bad, sigma)
