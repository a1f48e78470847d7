"""References for redshift success: how often can any code find the redshift of these spectra?

Two answers, both by Fourier correlations on one grid uniform in ln(wavelength), with the linear nuisances of the noise
model (flux calibration, sky residual: `mocks.NUISANCES`) marginalised in closed form:

* `known`: the object's own noiseless spectrum is the only template (an upper bound: nobody knows it);
* `library`: thousands of templates drawn from the prior, each at every redshift its age allows. Its posterior p(z) is
  what a perfect user of prior and noise model would report, as far as the templates are dense enough.

`python -m benchmarks.limits --help` runs them on mock spectra.
"""
