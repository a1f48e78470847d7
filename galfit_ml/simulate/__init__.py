"""The physics: stellar populations, gas, dust, intergalactic absorption, distances and instruments, in torch.

Nothing here is imported by the core of the package. Everything here runs with torch, numpy and scipy alone; astropy
is needed only by `galfit_ml.simulate.build`, which makes the data files.
"""
