"""Redshift success of the two references on mock spectra, with convergence, reliability and time.

    python -m benchmarks.limits --instrument moons-lr --population training --n 200 --magnitude 22:24 --exposure 8h

An interrupted run takes up where it stopped.
"""

from __future__ import annotations

import argparse
import resource
import sys

import torch

from benchmarks.limits.figure import draw
from benchmarks.limits.library import load_library
from benchmarks.limits.mocks import Mocks
from benchmarks.limits.options import parse
from benchmarks.limits.references import References, references
from benchmarks.limits.tables import Scores, convergence_table, reliability_table, success_table, write_csv
from benchmarks.limits.window import SUCCESS
from galfit_ml.errors import GalfitMLError
from galfit_ml.progress import shown_progress
from galfit_ml.simulate import survey
from galfit_ml_emcee.library.axis import ScanAxis
from galfit_ml_emcee.library.templates import Size


def main(arguments: list[str] | None = None) -> int:
    """Run; 0 where it succeeded, 2 where what was asked for makes no sense, 130 where it was stopped."""
    options = parse(arguments, (__doc__ or "").partition("\n")[0])
    try:
        mocks = _mocks(options)
        found, loss = _found(mocks, options)
        _show(Scores(mocks, found), loss, options)
    except (GalfitMLError, OSError) as error:
        print(f"benchmarks.limits: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("benchmarks.limits: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def _mocks(options: argparse.Namespace) -> Mocks:
    whole = Mocks.of(
        survey(
            options.instrument,
            options.n,
            options.population,
            options.seed,
            exposure=options.exposure,
            tier=options.tier,
            magnitude=options.magnitude,
            redshift=options.redshift,
        )
    )
    return whole if options.first is None else whole.take(slice(0, options.first))


def _found(mocks: Mocks, options: argparse.Namespace) -> tuple[References, torch.Tensor]:
    """Answers, and the share of its sum of squares that truncation takes from each template."""
    torch.set_num_threads(options.threads)
    instrument, size = mocks.instrument, Size(options.templates, options.vectors)
    with shown_progress() as progress:
        library = load_library(
            instrument,
            ScanAxis.of(instrument, options.step),
            size,
            folder=options.cache,
            device=options.device,
            report=progress,
        )
    sizes = sorted({max(options.templates // k, 1) for k in (8, 4, 2, 1)})
    with shown_progress() as progress:
        found = references(
            mocks, library, nuisances=options.nuisances, sizes=sizes, folder=options.cache, report=progress
        )
    return found, library.loss.double()


def _show(scores: Scores, loss: torch.Tensor, options: argparse.Namespace) -> None:
    known, library = scores.found.seconds
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{len(scores.mocks)} spectra, {options.templates} templates, nuisances: {options.nuisances}")
    unit = "core-seconds" if options.device == "cpu" else "seconds"
    print(f"success: |dz| / (1 + z) < {SUCCESS}; known template and library")
    print(f"{known:.3f} and {library:.3f} {unit} a spectrum, largest memory {memory:.1f} GB")
    print(f"lost by truncation, share of the sum of squares: median {loss.median():.1e}, largest {loss.max():.1e}")
    print("\n".join(["", *success_table(scores, options.bin), "", *convergence_table(scores)]))
    for name, answer, hits in (
        ("library", scores.found.library[-1], scores.library[-1]),
        ("known template", scores.found.known, scores.known),
    ):
        print("\n".join(["", f"reliability of the best window, {name}", *reliability_table(answer.probability, hits)]))
    if options.out is not None:
        write_csv(scores, options.out)
        print(f"wrote {options.out}")
    if options.plot is not None:
        draw(scores, options.plot)
        print(f"wrote {options.plot}")


if __name__ == "__main__":
    sys.exit(main())
