"""`galfit-ml simulate`: a mock survey on disk, spectra and truth."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galfit_ml.cli.arguments import known_instrument, number_or_range, positive, share
from galfit_ml.cli.console import tell
from galfit_ml.errors import GalfitMLError, OutputExistsError

if TYPE_CHECKING:
    from galfit_ml.mock_files import MockPaths, MockPlan
    from galfit_ml.simulate.surveys import MockSurvey, SurveySettings

EXAMPLES = """examples:
  galfit-ml simulate moons-lr --survey moonrise --n 1000 --exposure 1h,8h --out mock.fits
  galfit-ml simulate moons-lr --n 100 --magnitude 20:22 --seed 7 --out bright.fits --plots figures
  galfit-ml simulate sdss --n 500 --exposure 45m --contaminant star=0.02 --out mock.fits
  galfit-ml simulate moons-lr --survey moonz-grid --out grid.fits

A run that was stopped goes on when the same command is typed again. The truth stands in mock_truth.fits.
"""

SHOWN = 8
"""Spectra in the figure of --plots."""


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    raw = argparse.RawDescriptionHelpFormatter
    about = "simulate a survey: spectra with noise, and the truth beside them"
    parser = commands.add_parser("simulate", help=about, description=about, epilog=EXAMPLES, formatter_class=raw)
    add = parser.add_argument
    add("instrument", help="a name (`galfit-ml instruments` lists them), or file.toml")
    add("--survey", default="training", metavar="NAME", help="training, moonrise or moonz-grid (default: training)")
    add("--n", type=positive, help="number of galaxies (default, for moonz-grid alone: the whole grid)")
    add(
        "--exposure",
        metavar="TIME",
        help="1h, 30m, 6x600s; with commas, each galaxy once with each (default: survey's)",
    )
    add(
        "--out", type=Path, required=True, metavar="FILE", help="spectra, .fits; the truth is FILE_truth.fits beside it"
    )
    add("--seed", type=int, default=0, help="the same seed makes the same survey (default: 0)")
    add(
        "--tier", type=int, choices=(0, 1, 2), default=2, help="0: white noise; 1: and systematics; 2: varied skies too"
    )
    add("--magnitude", type=number_or_range, metavar="M|LOW:HIGH", help="AB, in the instrument's band")
    add("--redshift", type=number_or_range, metavar="Z|LOW:HIGH", help="(default of both: the survey's)")
    add("--contaminant", type=share, action="append", default=[], metavar="NAME=FRACTION", help="star, quasar or sky")
    add("--mode", help="sky mode (default: the instrument's first)")
    add("--keep", action="append", default=[], choices=("white-ivar", "noiseless"), help="write this too; repeatable")
    add(
        "--truth",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a copy of the truth: .ecsv, .csv, .parquet",
    )
    add("--plots", type=Path, metavar="DIR", help="folder for a figure of the first spectra")
    add(
        "--overwrite", action="store_true", help="replace files that are there, or an interrupted run of other settings"
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Simulate and write, or go on where it stopped."""
    from galfit_ml.mock_files import MockPaths, write_mock
    from galfit_ml.progress import shown_progress

    paths = MockPaths.of(chosen.out)
    _check(chosen, paths)
    settings = settings_of(chosen)
    plan = planned(settings, tuple(sorted(set(chosen.keep))))
    try:
        with shown_progress() as step:
            write_mock(plan, paths.mock, lambda k: _chunks(settings, k), overwrite=chosen.overwrite, step=step)
    except OutputExistsError:  # nothing was begun, and what lies there is another survey's
        raise
    except (KeyboardInterrupt, OSError):
        _tell_how_to_go_on(plan, paths)
        raise
    tell(f"wrote {paths.mock} ({plan.n} spectra) and {paths.truth}")
    _copy_truth(chosen, paths)
    if chosen.plots is not None:
        _draw(chosen.plots, paths, settings, plan.keep)
    return 0


def _check(chosen: argparse.Namespace, paths: MockPaths) -> None:
    """What can be known to be wrong before the work begins."""
    from galfit_ml.mock_files.truth import check_copy

    for path in chosen.truth:
        check_copy(path)
        if path.exists() and not chosen.overwrite:
            raise OutputExistsError(f"'{path}' exists already. Name another file, or add --overwrite.")
    if chosen.plots is not None:
        if chosen.plots.exists() and not chosen.plots.is_dir():
            raise OutputExistsError(f"'{chosen.plots}' is a file; --plots needs a folder.")
        if _figure_path(chosen.plots, paths).exists() and not chosen.overwrite:
            raise OutputExistsError(f"'{_figure_path(chosen.plots, paths)}' exists already. Add --overwrite.")


def settings_of(chosen: argparse.Namespace) -> SurveySettings:
    """The survey that was asked for; an error where it makes no sense."""
    from galfit_ml.simulate.spectrograph import Spectrograph
    from galfit_ml.simulate.surveys import make_settings

    instrument = known_instrument(chosen.instrument)
    if len({name for name, _ in chosen.contaminant}) < len(chosen.contaminant):
        raise GalfitMLError("A contaminant was given twice: each has one share, for example --contaminant star=0.02.")
    settings = make_settings(
        instrument,
        chosen.n,
        chosen.survey,
        chosen.seed,
        exposure=None if chosen.exposure is None else chosen.exposure.split(","),
        tier=chosen.tier,
        magnitude=chosen.magnitude,
        redshift=chosen.redshift,
        contaminants=dict(chosen.contaminant),
        mode=chosen.mode,
    )
    Spectrograph(instrument, mode=chosen.mode)  # an instrument that cannot be simulated says so before any file is made
    return settings


def planned(settings: SurveySettings, keep: tuple[str, ...]) -> MockPlan:
    """What is going to be written."""
    from galfit_ml import __version__
    from galfit_ml.mock_files import MockPlan, TruthColumn
    from galfit_ml.simulate.masks import UNUSABLE, MaskBit
    from galfit_ml.simulate.surveys import truth_columns

    return MockPlan(
        settings.instrument,
        settings.n,
        settings.rows_per_chunk,
        _as_json(settings),
        __version__,
        columns={name: TruthColumn(*told) for name, told in truth_columns(settings.instrument).items()},
        mask_bits={str(bit.name): int(bit) for bit in MaskBit},
        unusable=UNUSABLE,
        keep=keep,
    )


def _as_json(settings: SurveySettings) -> dict[str, Any]:
    """What the spectra depend on besides instrument and number, as JSON values."""
    return {
        "survey": settings.population,
        "seed": settings.seed,
        "galaxies": settings.galaxies,
        "tier": settings.tier,
        "exposure": list(settings.exposures),
        "magnitude": list(settings.magnitude),
        "redshift": list(settings.redshift),
        "contaminants": dict(settings.contaminants),
        "mode": settings.mode,
    }


def _chunks(settings: SurveySettings, start: int) -> Iterator[MockSurvey]:
    from galfit_ml.simulate.surveys import make_chunks

    return make_chunks(settings, start=start)


def _tell_how_to_go_on(plan: MockPlan, paths: MockPaths) -> None:
    from galfit_ml.mock_files.journal import Journal

    journal = Journal.read(paths.journal)
    if journal is not None and journal.finished and paths.mock_partial.exists():
        done = plan.rows(journal.finished - 1).stop
        tell(
            f"galfit-ml: {done} of {plan.n} spectra are kept in {paths.mock_partial}. Type the same command again to "
            "go on; to give up, delete it and the files beside it that end in .partial and .progress."
        )


def _copy_truth(chosen: argparse.Namespace, paths: MockPaths) -> None:
    from galfit_ml.mock_files.truth import copy_truth

    for path in chosen.truth:
        copy_truth(paths.truth, path)
        tell(f"wrote {path}")


def _figure_path(folder: Path, paths: MockPaths) -> Path:
    return folder / f"{paths.mock.stem}.png"


def _draw(folder: Path, paths: MockPaths, settings: SurveySettings, kept: tuple[str, ...]) -> None:
    from galfit_ml.mock_files import read_layer, read_mock, read_truth
    from galfit_ml.plots.mock_figure import MockPanel, mock_figure
    from galfit_ml.writing import save_figure

    n = min(SHOWN, settings.n)
    batch, truth = read_mock(paths.mock, slice(0, n)), read_truth(paths.mock)[:n]
    noiseless = read_layer(paths.mock, "noiseless", slice(0, n)) if "noiseless" in kept else None
    panels = [MockPanel.of(batch, truth, i, noiseless) for i in range(n)]
    folder.mkdir(parents=True, exist_ok=True)
    title = f"{settings.instrument.name}, {settings.population}: the first {n} of {settings.n} spectra"
    save_figure(mock_figure(panels, title), _figure_path(folder, paths))
    tell(f"wrote {_figure_path(folder, paths)}")
