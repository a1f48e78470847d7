"""The redshift scan: the posterior of redshift under hundreds of templates drawn from the prior of galaxies.

Both the data and the templates lie on one grid uniform in ln(wavelength), where a redshift is a whole shift; the linear
nuisances of the noise model (flux calibration of each arm, sky residual) are integrated out in closed form.
"""
