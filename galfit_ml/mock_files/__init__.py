"""Mock surveys in files: `mock.fits` with the spectra, and `mock_truth.fits` beside it with what they were made from.

A mock file (format 1) is plain FITS. After the primary header, which tells instrument, survey, seed and every other
setting, come

====================  ==========================================================================================
`META`                image of bytes: UTF-8 JSON with the settings and the whole instrument, for programs
`ID`                  table of n rows: the names of the spectra, the same as in the truth table
`<ARM>_PIXELS`        table of n_pix rows: WAVELENGTH (vacuum angstrom, pixel centres) and LSF_SIGMA (angstrom)
`<ARM>_FLUX`          float32 [n, n_pix], 1e-17 erg s^-1 cm^-2 A^-1, 0 where the pixel is unusable
`<ARM>_IVAR`          float32 [n, n_pix], inverse variance as a pipeline would report it, 0 where unusable
`<ARM>_MASK`          uint8 [n, n_pix], bits that the header of this extension explains
`<ARM>_WHITE_IVAR`    float32, on request: inverse variance of the white noise alone
`<ARM>_NOISELESS`     float32, on request: the flux without noise
====================  ==========================================================================================

for each arm. The wavelength axis of the images is a FITS one (`WAVE` where pixels are linear, `WAVE-LOG` where they are
logarithmic), in vacuum, so that specutils reads an arm::

    Spectrum.read("mock.fits", format="wcs1d-fits", hdu="H_FLUX", uncertainty_hdu="H_IVAR", uncertainty_type="ivar",
                  mask_hdu="H_MASK")

Pixels that follow the resolution of an instrument have no such axis: theirs is the column WAVELENGTH alone.

While it is written a file is called `mock.fits.partial`, and `mock.fits.progress` says how far it is. Sizes above 4 GB
are no problem of the format; spectra are read from disk as they are needed.
"""

from __future__ import annotations

from galfit_ml.mock_files.plan import MockPlan, TruthColumn
from galfit_ml.mock_files.reader import is_mock_file, mock_instrument, read_layer, read_mock, read_settings
from galfit_ml.mock_files.truth import read_truth
from galfit_ml.mock_files.writer import MockPaths, space_needed, write_mock

__all__ = [
    "MockPaths",
    "MockPlan",
    "TruthColumn",
    "is_mock_file",
    "mock_instrument",
    "read_layer",
    "read_mock",
    "read_settings",
    "read_truth",
    "space_needed",
    "write_mock",
]
