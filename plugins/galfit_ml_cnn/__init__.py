"""The network: a residual CNN with Monte Carlo dropout whose redshift is a shift, and its training."""

from __future__ import annotations

from galfit_ml.backend import BackendInfo, Tags
from galfit_ml.commands import CommandInfo
from galfit_ml.hookspecs import hookimpl


@hookimpl
def galfit_ml_backends() -> list[BackendInfo]:
    """The `cnn` backend, with weights for the instruments it names."""
    return [
        BackendInfo(
            name="cnn",
            target="galfit_ml_cnn.backend:CnnBackend",
            summary="residual network with Monte Carlo dropout: joint posteriors in milliseconds (MOONS, SDSS, BOSS)",
            install_hint="Install it with: pip install torch safetensors",
            tags=Tags(embedding=True),
            requires=("torch", "safetensors"),
            instruments=("moons-lr", "sdss", "boss"),
        ),
    ]


@hookimpl
def galfit_ml_commands() -> list[CommandInfo]:
    """Training and calibration of networks."""
    return [
        CommandInfo("train", "galfit_ml_cnn.commands:train", "train a network for an instrument"),
        CommandInfo("calibrate", "galfit_ml_cnn.calibrate:main", "calibrate a trained network on fresh simulations"),
    ]
