"""Benchmark suites: every backend answers the same spectra and is judged by the same numbers.

`galfit-ml benchmark run moons-snr --backends cnn,emcee --n 500 --out results/` runs one; see docs/benchmark.md. The
names below are loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from galfit_ml.benchmark.comparison import compare
    from galfit_ml.benchmark.errors import BenchmarkError
    from galfit_ml.benchmark.results import read_results, score, write_results
    from galfit_ml.benchmark.run import Run
    from galfit_ml.benchmark.suite import Suite, get_suite, suites

_HOME = {
    "BenchmarkError": "errors",
    "Run": "run",
    "Suite": "suite",
    "compare": "comparison",
    "get_suite": "suite",
    "read_results": "results",
    "score": "results",
    "suites": "suite",
    "write_results": "results",
}

__all__ = ["BenchmarkError", "Run", "Suite", "compare", "get_suite", "read_results", "score", "suites", "write_results"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'galfit_ml.benchmark' has no attribute {name!r}")
    return getattr(importlib.import_module(f"galfit_ml.benchmark.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
