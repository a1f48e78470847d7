"""What the command line of `python -m benchmarks.limits` understands."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.limits.cache import default_cache
from benchmarks.limits.mocks import NUISANCES
from galfit_ml_emcee.library.axis import STEP_KMS
from galfit_ml_emcee.library.templates import Size

LEAST_STEP, LARGEST_STEP = 5.0, 300.0
"""km/s: a finer grid needs more memory than there is, a coarser one sees no line."""


def parse(arguments: list[str] | None, description: str) -> argparse.Namespace:
    """Checked options; says what is wrong and exits with status 2 otherwise."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.limits",
        description=description,
        epilog="nuisances: " + "; ".join(f"{name}: {text}" for name, text in NUISANCES.items()),
    )
    _spectra(parser)
    _scan(parser)
    parser.add_argument("--bin", type=_positive, default=1.0, help="width of the table's bins, mag (default: 1)")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="folder of templates and answers")
    parser.add_argument("--out", type=Path, help="CSV file, a row per spectrum")
    parser.add_argument("--plot", type=Path, help="figure of success and reliability, such as limits.png")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("argument --device: torch sees no CUDA device here; leave the option out to use the CPU")
    return options


def _spectra(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("spectra")
    group.add_argument("--instrument", default="moons-lr", help="default: %(default)s")
    group.add_argument("--population", default="training", help="training, moonrise or moonz-grid")
    group.add_argument("--n", type=_count, default=200, help="galaxies (default: %(default)s)")
    group.add_argument("--first", type=_count, metavar="K", help="only the first K of the spectra, such as those done")
    group.add_argument("--magnitude", type=number_range, metavar="LOW:HIGH", help="AB, of the instrument's band")
    group.add_argument("--redshift", type=number_range, metavar="LOW:HIGH", help="of the galaxies; the scan covers all")
    group.add_argument("--exposure", default="8h", help="default: %(default)s")
    group.add_argument("--tier", type=int, default=2, choices=(0, 1, 2), help="of the noise (default: %(default)s)")
    group.add_argument("--seed", type=int, default=0, help="default: %(default)s")


def _scan(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("scan")
    group.add_argument(
        "--templates",
        type=_count,
        default=Size().templates,
        help="of each redshift bin (default: %(default)s); answers of 1/8, 1/4 and 1/2 of them come along",
    )
    group.add_argument(
        "--vectors",
        type=_count,
        default=Size().vectors,
        help="singular vectors of a redshift bin (default: %(default)s)",
    )
    group.add_argument("--step", type=_step, default=STEP_KMS, help="of the grid, km/s (default: %(default)s)")
    group.add_argument("--nuisances", choices=list(NUISANCES), default="all", help="default: %(default)s")
    group.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    group.add_argument("--threads", type=_count, default=1, help="of torch (default: %(default)s)")


def number_range(text: str) -> tuple[float, float]:
    """Two numbers from "22:24", or one number twice from "22".

    >>> number_range("22:24")
    (22.0, 24.0)
    """
    low, colon, high = text.partition(":")
    try:
        ends = float(low), float(high if colon else low)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no range: type LOW:HIGH, such as 22:24, or one number") from None
    if not ends[0] <= ends[1]:
        raise argparse.ArgumentTypeError(f"the range {text!r} is empty: type the smaller number first")
    return ends


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of things: type a whole number of at least 1")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} must be a positive number")
    return value


def _step(text: str) -> float:
    value = _positive(text)
    if not LEAST_STEP <= value <= LARGEST_STEP:
        raise argparse.ArgumentTypeError(f"{text!r} must be a positive number from {LEAST_STEP:g} to {LARGEST_STEP:g}")
    return value
