"""The lines of galaxies that figures name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Feature:
    """A line or blend to mark: its label, rest-frame vacuum wavelengths (angstrom), and how it usually shows."""

    label: str
    wavelengths: tuple[float, ...]
    emission: bool = True


FEATURES = (
    Feature(r"Ly$\alpha$", (1215.67,)),
    Feature("C IV", (1548.20, 1550.77)),
    Feature("C III]", (1906.68, 1908.73)),
    Feature("Mg II", (2796.35, 2803.53)),
    Feature("[O II]", (3727.09, 3729.88)),
    Feature("[Ne III]", (3869.86,)),
    Feature(r"H$\delta$", (4102.89,)),
    Feature(r"H$\gamma$", (4341.69,)),
    Feature(r"H$\beta$", (4862.69,)),
    Feature("[O III]", (4960.30, 5008.24)),
    Feature("[O I]", (6302.05,)),
    Feature(r"H$\alpha$ [N II]", (6549.86, 6564.61, 6585.27)),
    Feature("[S II]", (6718.29, 6732.68)),
    Feature("[S III]", (9071.1,)),
    Feature("[S III]", (9533.2,)),
    Feature("He I", (10833.3,)),
    Feature(r"Pa$\beta$", (12821.6,)),
    Feature("Ca K", (3934.78,), emission=False),
    Feature("Ca H", (3969.59,), emission=False),
    Feature("G band", (4305.6,), emission=False),
    Feature("Mg b", (5168.74, 5174.14, 5185.05), emission=False),
    Feature("Na D", (5891.58, 5897.56), emission=False),
    Feature("Ca II", (8500.35, 8544.44, 8664.52), emission=False),
)
"""Vacuum wavelengths after the NIST Atomic Spectra Database; the G band is a blend."""


@dataclass(frozen=True)
class Break:
    """A step of the continuum: its label, and the rest-frame vacuum range (angstrom) in which it lies."""

    label: str
    low: float
    high: float


BREAKS = (
    Break("Balmer break", 3600.0, 3850.0),
    Break("4000 Å break", 3850.0, 4150.0),
)
"""Wide ranges around the steps; the indices that measure the second use 3850-3950 and 4000-4100 angstrom (Balogh et al.
1999, ApJ 527, 54)."""
