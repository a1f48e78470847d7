"""What the latent space of the network knows: probes on mocks and on real galaxies.

python -m benchmarks.latent --help
"""
