"""Real spectra with known answers: redshifts, what is flagged, properties, coverage."""
