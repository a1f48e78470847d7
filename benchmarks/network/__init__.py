"""What a backend reaches on mocks that no training saw: redshifts, properties, calibration, robustness, speed.

python -m benchmarks.network --help
"""
