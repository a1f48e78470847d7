"""Cut a survey's spec file down to what the demo needs: the coadded spectrum and its catalogue row, byte for byte.

    python -m benchmarks.make_example NGC3073_SDSS_DR18.fits galfit_ml/data/example/spec-0945-52652-0470.fits

The single exposures and the line table behind them are left out. Any SDSS `spec-PLATE-MJD-FIBER.fits` will do.
"""

from __future__ import annotations

import sys
from pathlib import Path

from astropy.io import fits

KEPT = ("PRIMARY", "COADD", "SPECOBJ")


def shrink(source: Path, target: Path) -> int:
    """Copy the first three HDUs of `source`; returns the size of `target`, bytes."""
    with fits.open(source) as hdus:
        names = tuple(hdu.name for hdu in hdus[: len(KEPT)])
        if names != KEPT:
            raise SystemExit(f"'{source}' starts with {names}, not with {KEPT}: it is no SDSS spec file.")
        end = hdus[len(KEPT) - 1].fileinfo()
    return target.write_bytes(source.read_bytes()[: end["datLoc"] + end["datSpan"]])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    print(f"{sys.argv[2]}: {shrink(Path(sys.argv[1]), Path(sys.argv[2])) / 1e3:.0f} kB")
