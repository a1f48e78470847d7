"""Quality flags: one named bit for each thing a user should know about a row.

Bits 0-15 belong to the core, 16-23 to the backends shipped with the project, 24-30 to third-party backends.
"""

from __future__ import annotations

from enum import IntFlag


class Flag(IntFlag):
    """Bits of `Posterior.flags`; 0 means nothing to report."""

    FAILED = 1 << 0
    NOISE_ESTIMATED = 1 << 1
    RELATIVE_FLUX = 1 << 2
    LITTLE_COVERAGE = 1 << 3
    LOW_SNR = 1 << 4
    MANY_BAD_PIXELS = 1 << 5
    LSF_ASSUMED = 1 << 6
    AMBIGUOUS_REDSHIFT = 1 << 7
    EDGE_OF_RANGE = 1 << 8
    POOR_FIT = 1 << 9
    OUT_OF_DISTRIBUTION = 1 << 10
    BELOW_RESOLUTION = 1 << 11
    TOPOCENTRIC = 1 << 12
    UNUSUAL_LSF = 1 << 13
    NOT_CONVERGED = 1 << 16
    NO_CLEAR_MINIMUM = 1 << 17

    @property
    def meaning(self) -> str:
        """One sentence for each bit set, joined by '; '."""
        return "; ".join(text for flag, text in MEANINGS.items() if flag in self)


MEANINGS = {
    Flag.FAILED: "no result: the reason stands in `reasons`",
    Flag.NOISE_ESTIMATED: "the spectrum had no uncertainty; the noise was estimated from the pixel-to-pixel scatter",
    Flag.RELATIVE_FLUX: "the flux has no absolute scale; mass and star-formation rate are NaN",
    Flag.LITTLE_COVERAGE: "less than half of the instrument's wavelength range has data",
    Flag.LOW_SNR: "median signal-to-noise below 1 per pixel",
    Flag.MANY_BAD_PIXELS: "more than half of the pixels are masked",
    Flag.LSF_ASSUMED: "the line-spread function was taken from the instrument, not from the spectrum",
    Flag.AMBIGUOUS_REDSHIFT: "another redshift is nearly as good",
    Flag.EDGE_OF_RANGE: "a posterior piles up at an edge of its prior",
    Flag.POOR_FIT: "the best model does not reproduce the spectrum",
    Flag.OUT_OF_DISTRIBUTION: "the spectrum is unlike the galaxies the backend knows",
    Flag.BELOW_RESOLUTION: "velocity dispersion below the resolution of the templates: an upper limit",
    Flag.TOPOCENTRIC: "wavelengths move with the Earth (topocentric): the redshift is off by up to 30 km/s",
    Flag.UNUSUAL_LSF: "the line-spread function is more than a quarter off that of the spectra the backend learnt from",
    Flag.NOT_CONVERGED: "the sampler stopped at its cap before its autocorrelation time was reached often enough",
    Flag.NO_CLEAR_MINIMUM: "the redshift scan found no minimum that stands out",
}
