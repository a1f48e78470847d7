"""The door: whatever a user hands in becomes groups of `SpectrumBatch`, and a reason for each spectrum that cannot.

Accepted: a specutils `Spectrum` (1-D, or n-D with the spectral axis anywhere: its spectra are rows, in C order),
`SpectrumList`, list or tuple (separate galaxies, any grids), `SpectrumCollection`, `{arm: Spectrum}` (the arms of one
galaxy), a path, or a `SpectrumBatch`. DESI's b/r/z lists are recognised as arms by their meta. A file that
`galfit-ml simulate` wrote holds the spectra of many galaxies and says which instrument they are from;
`rows=(first, end)` takes some of them.

What a spectrum says of itself is found in its `meta`:

======================  ===========================================================================================
`meta["lsf_sigma"]`     Gaussian sigma of the line-spread function: number, [n_pix] or the flux's shape; angstrom or
                        a Quantity
`meta["resolution"]`    resolving power R = wavelength / FWHM: number, [n_pix] or the flux's shape
`meta["id"]`            name of the row (`"name"` and `"label"` are understood too)
`meta["header"]`        header of the survey: tells SDSS from BOSS, names the row, says `AWAV` where in air,
                        `SPECSYS` where not corrected for the motion of the Earth, and the coordinates for a dust map
======================  ===========================================================================================
"""

from __future__ import annotations

from galfit_ml.reading.door import read_spectra
from galfit_ml.reading.result import READER_OPTIONS, Failure, Group, ReaderOptions, Reading

__all__ = ["READER_OPTIONS", "Failure", "Group", "ReaderOptions", "Reading", "read_spectra"]
