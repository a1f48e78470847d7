"""`galfit-ml estimate`: posteriors of spectra in files."""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galfit_ml.cli.arguments import known_instrument, number_or_range, option, positive, rows
from galfit_ml.cli.console import tell
from galfit_ml.errors import FileFormatError, GalfitMLError, OutputExistsError, SpectrumError, WriteError

if TYPE_CHECKING:
    from galfit_ml.api import Estimator
    from galfit_ml.backend import Progress
    from galfit_ml.instruments import Instrument
    from galfit_ml.posterior import Posterior

FILES_AT_ONCE = 32
"""Files handed to the backend in one go: what is done survives what stops a longer run."""

EXAMPLES = """examples:
  galfit-ml estimate spec-*.fits --out results.fits         posteriors of SDSS files
  galfit-ml estimate a.fits --redshift 0.5:1.2 --plots figures --out a.ecsv --out a.h5
  galfit-ml estimate mine.fits --instrument generic:1800 --medium air
  galfit-ml estimate spec-*.fits --dust-map sfd --out r.h5  without the dust of the Milky Way; so does --ebv 0.03
  galfit-ml estimate mock.fits --rows 0:20                  spectra of `galfit-ml simulate`
"""


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser("estimate", help="estimate spectra from files", epilog=EXAMPLES, formatter_class=raw)
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILE", help="spectra in any format that specutils reads")
    add("--backend", help="name of a backend (default: the network where it reads the instrument, else emcee)")
    add("--instrument", help="name, file.toml, or generic:R with R the resolving power (default: recognised)")
    add("--rows", type=rows, metavar="FIRST:END", help="only these spectra of a file that `galfit-ml simulate` wrote")
    add("--redshift", type=number_or_range, metavar="Z|LOW:HIGH", help="fix the redshift, or keep it in a range")
    add("--samples", type=positive, default=1000, metavar="N", help="draws per spectrum (default: 1000)")
    add("--seed", type=int, help="the same seed gives the same draws (default: fresh ones)")
    add("--format", help="name of the specutils loader (default: recognised from the file)")
    add("--medium", choices=("air", "vacuum"), help="what the wavelengths are in, where the file does not say it")
    add("--ebv", type=float, metavar="MAG", help="E(B-V) of the Milky Way, taken out of all spectra (default: nothing)")
    add("--dust-map", choices=("sfd",), help="take out what this map has at the coordinates in the headers")
    endings = ".ecsv, .fits, .h5; .nc for ArviZ, .qp.hdf5 for qp and RAIL; may be repeated"
    add("--out", type=Path, action="append", default=[], metavar="FILE", help=endings)
    add("--plots", type=Path, metavar="DIR", help="folder for figures: draws, fit, history, trace, what mattered")
    add("--overwrite", action="store_true", help="replace output that is there")
    add("--option", type=option, action="append", default=[], metavar="KEY=VALUE", help="an option of the backend")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Estimate, save, print and plot."""
    from galfit_ml.posterior import concatenate

    _check_paths(chosen)
    pieces: list[Posterior] = []
    try:
        for piece in _chunks(chosen):
            pieces.append(piece)
    finally:
        # Also where an error or Ctrl-C ends the run: hours of sampling are not thrown away.
        status = _deliver(concatenate(pieces), chosen) if pieces else 0
    return status


def _check_paths(chosen: argparse.Namespace) -> None:
    """Everything that can be known to go wrong before the work begins."""
    from galfit_ml.posterior_io import check_output

    missing = [f"'{file}'" for file in chosen.files if not file.is_file()]
    if missing:
        raise FileFormatError(f"No such file: {', '.join(missing)}. Check the names; nothing was estimated.")
    for out in chosen.out:
        check_output(out, overwrite=chosen.overwrite)
    if chosen.plots is not None and chosen.plots.is_dir() and not chosen.overwrite and any(chosen.plots.glob("*.png")):
        raise OutputExistsError(f"Folder '{chosen.plots}' holds figures already. Name another one, or add --overwrite.")


def _chunks(chosen: argparse.Namespace) -> Iterator[Posterior]:
    """The posteriors of the files, a few files at a time, with one seed: the draws do not depend on the grouping."""
    import secrets

    from galfit_ml.progress import shown_progress
    from galfit_ml.reading import READER_OPTIONS

    options = dict(chosen.option)
    given = {name: getattr(chosen, name) for name in ("format", "medium", "rows", "ebv", "dust_map")}
    reading = {k: options.pop(k) for k in list(options) if k in READER_OPTIONS}
    reading.update({k: v for k, v in given.items() if v is not None})
    estimator = _estimator(chosen.backend, options)
    seed = secrets.randbits(32) if chosen.seed is None else chosen.seed
    asked = {
        "instrument": _instrument(chosen.instrument),
        "redshift": chosen.redshift,
        "n_samples": chosen.samples,
        "seed": seed,
    }
    done = 0
    with shown_progress() as progress:
        for start in range(0, len(chosen.files), FILES_AT_ONCE):
            files = [str(file) for file in chosen.files[start : start + FILES_AT_ONCE]]
            left = len(chosen.files) - start - len(files)
            piece = estimator.estimate(files, progress=_part_of(progress, done, left), **asked, **reading)
            done += len(piece)
            yield piece


def _instrument(text: str | None) -> str | Instrument | None:
    return known_instrument(text) if text and text.lower().endswith(".toml") else text


def _estimator(backend: str | None, options: dict[str, Any]) -> Estimator:
    from galfit_ml.api import Estimator

    try:
        return Estimator(backend, **options)
    except (TypeError, ValueError) as error:
        if isinstance(error, GalfitMLError) or not options:
            raise
        given = " ".join(f"--option {key}={value}" for key, value in options.items())
        raise GalfitMLError(f"The backend refuses {given}: {error}") from error


def _part_of(progress: Progress, done: int, left: int) -> Progress:
    """Progress of one chunk as progress of the whole: `done` spectra before it, about `left` after it."""
    return lambda part, total, message: progress(done + part, done + total + left, message)


def _deliver(posterior: Posterior, chosen: argparse.Namespace) -> int:
    """Save, print and plot what there is; returns the exit status."""
    from galfit_ml.summary import describe

    saved = [_save(posterior, out, chosen.overwrite) for out in chosen.out]
    print(describe(posterior))
    if not chosen.out:
        tell("Nothing was saved. Add --out results.fits to keep the posterior, --out results.ecsv for its summary.")
    if chosen.plots is not None:
        saved.append(_plot(posterior, chosen.plots))
    failed = [
        (name, why) for name, why, ok in zip(posterior.ids, posterior.reasons, posterior.ok, strict=True) if not ok
    ]
    for name, why in failed:
        tell(f"galfit-ml: no result for {name}: {why}")
    return (1 if failed else 0) if all(saved) else 2


def _save(posterior: Posterior, path: Path, overwrite: bool) -> bool:
    """Save to `path`, or beside the temporary files where that has become impossible; False for the latter."""
    from galfit_ml.posterior_io import save

    try:
        tell(f"wrote {save(posterior, path, overwrite=overwrite)}")
    except SpectrumError as error:
        tell(f"galfit-ml: nothing was written to {path}: {error}")
    except (GalfitMLError, OSError) as error:
        tell(f"galfit-ml: error: {error}")
        _take_refuge(posterior, path.name)
        return False
    return True


def _take_refuge(posterior: Posterior, name: str) -> None:
    """Save beside the temporary files; the other outputs of the run do not depend on it."""
    from galfit_ml.posterior_io import save

    try:
        refuge = Path(tempfile.mkdtemp(prefix="galfit-ml-"))
        tell(f"galfit-ml: the results are in {save(posterior, refuge / name)} instead")
    except (GalfitMLError, OSError) as error:
        tell(f"galfit-ml: error: {error}")


def _plot(posterior: Posterior, folder: Path) -> bool:
    """Draw what there is of each spectrum; False where the figures cannot be written."""
    from galfit_ml.plots import available
    from galfit_ml.writing import save_figure

    folder.mkdir(parents=True, exist_ok=True)
    for index, stem in enumerate(_stems(posterior.ids)):
        for kind, draw in available(posterior, index).items():
            try:
                save_figure(draw(), folder / f"{stem}_{kind}.png")
            except WriteError as error:
                tell(f"galfit-ml: error: {error}")
                return False
            except GalfitMLError as error:
                tell(f"galfit-ml: no {kind} figure of {posterior.ids[index]}: {error}")
    tell(f"figures are in {folder}")
    return True


def _stems(names: Sequence[str]) -> list[str]:
    """A file name for each spectrum: plain characters, none twice even where upper and lower case are the same."""
    taken: set[str] = set()
    stems = []
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9._+-]+", "_", name).strip("._")[:100] or "spectrum"
        stem, number = plain, 2
        while stem.lower() in taken:
            stem, number = f"{plain}-{number}", number + 1
        taken.add(stem.lower())
        stems.append(stem)
    return stems
