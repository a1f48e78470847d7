"""Build galfit_ml/data/contaminants/stars.npz from the BT-Settl spectra in the source distribution of grizli 1.14.3.

pip download --no-deps --no-binary grizli grizli==1.14.3 && tar xzf grizli-1.14.3.tar.gz
python -m benchmarks.build_star_templates grizli-1.14.3 galfit_ml/data/contaminants/stars.npz
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from astropy.io import fits

TABLE = Path("grizli/data/templates/stars/bt-settl_t400-3500_z0.0.fits")
RANGE = (3300.0, 23000.0)
COOL = [2400, 2600, 2800, 3000, 3200, 3400, 3600, 3800]
WARM = [4000, 4500, 5000, 5500, 6000, 6500, 7000]
STARS = [*((float(t), 5.0) for t in COOL), *((float(t), 4.5) for t in WARM)]
"""Effective temperature, K, and log g of dwarfs."""


def build(source: Path, target: Path) -> None:
    with fits.open(source / TABLE) as hdus:
        data, header = hdus[1].data, hdus[1].header
        wave = np.asarray(data["wave"], dtype=np.float64)
        flux = np.asarray(data["flux"], dtype=np.float64)
    inside = (wave >= RANGE[0]) & (wave <= RANGE[1])
    known = {(header[f"TEFF{i:03d}"], header[f"LOGG{i:03d}"]): i for i in range(flux.shape[1])}
    spectra = np.stack([flux[inside, known[star]] for star in STARS])
    spectra /= np.median(spectra, axis=1, keepdims=True)
    teff, log_g = np.array(STARS).T
    np.savez_compressed(
        target, wavelength=wave[inside], flux=spectra.astype(np.float32), temperature=teff, log_gravity=log_g
    )


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]))
