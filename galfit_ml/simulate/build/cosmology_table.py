"""Making the cosmology table that ships with the package. Needs astropy."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from galfit_ml.simulate.cosmology import Cosmology


def build_cosmology(out: str | Path) -> Path:
    """Write the table of astropy's Planck18 to `out` (.npz)."""
    from astropy.cosmology import Planck18

    table, path = Cosmology.from_astropy(Planck18), Path(out)
    with path.open("wb") as file:
        np.savez(
            file,
            redshift=table.redshift.numpy(),
            luminosity_distance=table.luminosity_distance.numpy(),
            age=table.age.numpy(),
        )
    return path
