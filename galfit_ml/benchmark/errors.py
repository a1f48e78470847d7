"""Errors of benchmarks."""

from __future__ import annotations

from galfit_ml.errors import GalfitMLError


class BenchmarkError(GalfitMLError, ValueError):
    """A benchmark that cannot be run, or results that do not belong together."""
