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
FILES = ("posterior.ecsv", "posterior.fits")
"""What the demo always writes, beside figures; files of these names in its folder are replaced."""

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
    from galfit_ml.plots import available
    from galfit_ml.writing import save_figure

    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise OutputExistsError(
            f"'{folder}' is a file; the demo needs a folder. Name another: galfit-ml demo --out DIR"
        )
    folder.mkdir(parents=True, exist_ok=True)
    posterior = estimate(example_path(), backend, seed=_SEED, progress=progress)
    for name in FILES:
        posterior.save(folder / name, overwrite=True)
    for kind, draw in available(posterior).items():
        save_figure(draw(), folder / f"{kind}.png")
    return posterior


def files_of(posterior: Posterior) -> tuple[str, ...]:
    """What the demo writes for a posterior: the draws' corner, and figures of all else that the backend gives."""
    from galfit_ml.plots import available

    return (*FILES, *(f"{kind}.png" for kind in available(posterior)))
