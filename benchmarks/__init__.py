"""This project's own measurements: run each with `python -m benchmarks.<name>`; none of it is installed."""
