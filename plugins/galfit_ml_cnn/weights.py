"""Trained networks on disk: safetensors, with everything in the metadata that is needed to use them again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor

from galfit_ml.errors import FileFormatError
from galfit_ml.writing import write_whole
from galfit_ml_cnn.calibrated import Calibrated
from galfit_ml_cnn.layout import Layout
from galfit_ml_cnn.network import Architecture, GalaxyNetwork

FORMAT = "galfit_ml_cnn 2"
CALIBRATION = "calibration."
LARGE = 50_000
JOINT = "+"
"""Between the names of instruments that share a network."""

SHIPPED = Path(__file__).parent / "data"


@dataclass(frozen=True, eq=False)
class Trained:
    """A network that has learnt.

    Args:
        network: in evaluation mode.
        instruments: names of those whose spectra it reads.
        about: how it was trained and how good it is: recipe, seed, steps, validation metrics, versions.
        calibrated: what was learnt of it afterwards, or None.
    """

    network: GalaxyNetwork
    instruments: tuple[str, ...]
    about: Mapping[str, Any]
    calibrated: Calibrated | None = None


def save(path: Path, trained: Trained) -> None:
    """Write a network; the file has its name only when it is complete. WriteError."""
    network = trained.network
    metadata = {
        "format": FORMAT,
        "instrument": JOINT.join(trained.instruments),
        "layout": json.dumps(asdict(network.layout)),
        "architecture": json.dumps(asdict(network.architecture)),
        "about": json.dumps(trained.about),
    }
    tensors = {name: _stored(value) for name, value in network.state_dict().items()}
    if trained.calibrated is not None:
        arrays = trained.calibrated.arrays()
        tensors |= {CALIBRATION + name: torch.as_tensor(array).float().contiguous() for name, array in arrays.items()}
    write_whole(path, serialised(tensors, metadata))


def _stored(value: Tensor) -> Tensor:
    """Large arrays of weights are kept in half precision (5e-4)."""
    return (value.half() if value.numel() >= LARGE and value.is_floating_point() else value).contiguous()


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
        arrays = {
            name.removeprefix(CALIBRATION): tensors.pop(name).double().numpy()
            for name in list(tensors)
            if name.startswith(CALIBRATION)
        }
        network = _network(metadata)
        network.load_state_dict(tensors)
        calibrated = Calibrated.of(arrays) if arrays else None
        instruments = tuple(metadata["instrument"].split(JOINT))
        return Trained(network.eval(), instruments, json.loads(metadata["about"]), calibrated)
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


def shipped(instrument: str) -> Path:
    """Path of the weights that come with the package; FileFormatError where there are none for the instrument."""
    known = {name: path for path in SHIPPED.glob("*.safetensors") for name in path.stem.split(JOINT)}
    if instrument not in known:
        raise FileFormatError(
            f"No weights for '{instrument}' come with this version; there are some for: "
            f"{', '.join(sorted(known)) or 'none'}. "
            f"Train them with: galfit-ml train {instrument} --out run/ and pass weights='run/weights.safetensors', or "
            "use backend='emcee'."
        )
    return known[instrument]
