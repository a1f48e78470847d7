"""Making the cosmology table that ships with the package. Needs astropy."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml.writing import write_whole


def build_cosmology(out: str | Path) -> Path:
    """Write the table of astropy's Planck18 to `out` (.npz)."""
    from astropy.cosmology import Planck18

    table, path, packed = Cosmology.from_astropy(Planck18), Path(out), io.BytesIO()
    np.savez(
        packed,
        redshift=table.redshift.numpy(),
        luminosity_distance=table.luminosity_distance.numpy(),
        age=table.age.numpy(),
    )
    write_whole(path, packed.getvalue())
    return path
