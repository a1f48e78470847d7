"""SDSS mocks beside real SDSS galaxies of the same type and signal-to-noise, stacked and one by one.

    python -m benchmarks.sdss_mocks --data FOLDER [--out results/sdss_mocks] [--per-type 66]

Each real galaxy is matched: the most probable parameters of the galaxy model, with the redshift known and no freedom
of flux calibration beyond a level (search of the emcee plugin; about 2 s a galaxy on one core, kept in --out, so that a
second run goes on where the first was stopped). The mock has these parameters and is observed by the simulated
spectrograph, for the stacks and single spectra as long as it takes to reach the median inverse variance of the real
spectrum, for S/N against magnitude as long as the noise curve says.
Figures go to docs/images/sdss_mocks_*.png, numbers to summary.json in --out.
"""
