"""One real galaxy from file to figures: what a newcomer runs first."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from galfit_ml.errors import OutputExistsError

if TYPE_CHECKING:
    from galfit_ml.backend import Progress
    from galfit_ml.posterior import Posterior

EXAMPLE = "spec-0945-52652-0470.fits"
FILES = ("posterior.ecsv", "posterior.fits", "corner.png")
"""What the demo always writes; files of these names in its folder are replaced."""

FIT, SALIENCY = "fit.png", "saliency.png"
"""Written too where the backend makes a model spectrum, or can say what mattered."""

_SEED = 1


def example_path() -> Path:
    """The SDSS spectrum that comes with the package: NGC 3073, as the survey's own FITS file (see its README.md)."""
    return Path(str(resources.files("galfit_ml") / "data" / "example" / EXAMPLE))


def run_demo(out: str | Path = "demo", backend: str | None = None, progress: Progress | None = None) -> Posterior:
    """Estimate the example galaxy and write the summary, the posterior and figures into the folder `out`.

    Args:
        out: folder, made where it is not there; files of the names that `files_of` lists are replaced.
        backend: name, or None for the default backend.
        progress: called as progress(done, total, message).

    Raises:
        OutputExistsError: `out` is a file.
        PluginError: the backend cannot be loaded.
    """
    from galfit_ml.api import estimate

    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise OutputExistsError(
            f"'{folder}' is a file; the demo needs a folder. Name another: galfit-ml demo --out DIR"
        )
    folder.mkdir(parents=True, exist_ok=True)
    posterior = estimate(example_path(), backend, seed=_SEED, progress=progress)
    table, draws, corner = (folder / name for name in FILES)
    posterior.save(table, overwrite=True)
    posterior.save(draws, overwrite=True)
    posterior.plot().savefig(corner)
    written = files_of(posterior)
    if FIT in written:
        posterior.plot_fit().savefig(folder / FIT)
    if SALIENCY in written:
        posterior.plot_saliency("redshift").savefig(folder / SALIENCY)
    return posterior


def files_of(posterior: Posterior) -> tuple[str, ...]:
    """What the demo writes for a posterior."""
    fit = (FIT,) if posterior.best_fit is not None else ()
    return (*FILES, *fit, *((SALIENCY,) if any(posterior.sources) else ()))
