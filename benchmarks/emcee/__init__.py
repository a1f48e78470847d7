"""What the emcee backend is worth: calibration, redshifts, speed. Each module is a command; see its docstring."""
