"""Pictures of the docs: what a mock of each galaxy type looks like at H = 20, 22 and 24, in 1 h and in 8 h.

python -m benchmarks.mock_pictures [--redshift 1.5] [--images docs/images]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from galfit_ml.plots.mock_figure import survey_gallery
from galfit_ml.simulate.surveys import MockSurvey, survey
from galfit_ml.simulate.surveys.mock import joined

MAGNITUDES = (20.0, 22.0, 24.0)
HOURS = (1, 8)
KINDS = {"early": "An early type", "spiral": "A spiral", "starburst": "A starburst"}


def mocks(redshift: float, seed: int) -> MockSurvey:
    """Every type, dust and velocity dispersion of the moonz grid at one redshift and the three magnitudes."""
    exposures = [f"{hours}h" for hours in HOURS]
    return joined(
        [
            survey("moons-lr", None, "moonz-grid", seed, exposure=exposures, redshift=redshift, magnitude=magnitude)
            for magnitude in MAGNITUDES
        ]
    )


def main(arguments: list[str] | None = None) -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--redshift", type=float, default=1.5, help="a multiple of 0.05")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    made = mocks(options.redshift, options.seed)
    for kind, name in KINDS.items():
        title = f"{name} at z = {options.redshift:g}, MOONS low resolution"
        figure = survey_gallery(made, kind, MAGNITUDES, [3600.0 * hours for hours in HOURS], title)
        path = options.images / f"mock_{kind}.png"
        figure.savefig(path, dpi=80)
        print(path)


if __name__ == "__main__":
    main()
