"""SDSS mocks beside real SDSS galaxies of the same type and signal-to-noise, stacked and one by one.

    python -m benchmarks.sdss_mocks --data ../shared/data/real [--out results/sdss_mocks] [--per-type 80]

Each real galaxy is matched: the most probable parameters of the galaxy model, with the redshift known (search of the
emcee plugin; about 5 s a galaxy on one core, kept in --out, so that a second run goes on where the first was stopped).
The mock has these parameters and is observed by the simulated spectrograph with the noise level of the real spectrum.
Figures go to docs/images/sdss_mocks_*.png.
"""
