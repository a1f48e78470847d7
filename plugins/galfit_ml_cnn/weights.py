"""Trained networks on disk: safetensors, with everything in the metadata that is needed to use them again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from galfit_ml.errors import FileFormatError
from galfit_ml_cnn.files import completed
from galfit_ml_cnn.layout import Layout
from galfit_ml_cnn.network import Architecture, GalaxyNetwork

FORMAT = "galfit_ml_cnn 1"


@dataclass(frozen=True, eq=False)
class Trained:
    """A network that has learnt.

    Args:
        network: in evaluation mode.
        instrument: name of the one whose spectra it reads.
        about: how it was trained and how good it is: recipe, seed, steps, validation metrics, versions.
    """

    network: GalaxyNetwork
    instrument: str
    about: Mapping[str, Any]


def save(path: Path, trained: Trained) -> None:
    """Write a network; the file has its name only when it is complete."""
    network = trained.network
    metadata = {
        "format": FORMAT,
        "instrument": trained.instrument,
        "layout": json.dumps(asdict(network.layout)),
        "architecture": json.dumps(asdict(network.architecture)),
        "about": json.dumps(trained.about),
    }
    with completed(path) as part:
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, part, metadata)


def load(path: Path) -> Trained:
    """Read a network.

    Raises:
        FileFormatError: the file is missing, damaged, truncated, or holds something else. Nothing in it is executed.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise FileFormatError(
                    f"'{path}' holds no weights of this network: its format is {metadata.get('format')!r}, {FORMAT!r} "
                    "was expected. Train them with: python -m galfit_ml_cnn.train --help"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        network = _network(metadata)
        network.load_state_dict(tensors)
        return Trained(network.eval(), metadata["instrument"], json.loads(metadata["about"]))
    except FileNotFoundError:
        raise FileFormatError(f"There are no weights at '{path}'. Check the path.") from None
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(
            f"The weights in '{path}' are damaged or of another version ({error}). Download or train them again."
        ) from error


def _network(metadata: Mapping[str, str]) -> GalaxyNetwork:
    layout, architecture = (json.loads(metadata[name]) for name in ("layout", "architecture"))
    layout["redshift"] = tuple(layout["redshift"])
    architecture["dilations"] = tuple(architecture["dilations"])
    # A new network draws its first weights, which are replaced at once: nobody's random numbers are used up for them.
    with torch.random.fork_rng(devices=[]):
        return GalaxyNetwork(Layout(**layout), Architecture(**architecture))
