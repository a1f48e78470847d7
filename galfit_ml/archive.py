"""A posterior as one JSON text and named arrays, and back: what every kind of file holds.

Format 2 adds the arrays of histories and traces, and the calibration and noise scale of a best fit. A posterior without
any of them is written as format 1, which every version reads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.companions import BestFit, StarFormationHistories, Trace, known_arrays
from galfit_ml.errors import FileFormatError
from galfit_ml.parameters import Parameter, ParameterSet
from galfit_ml.posterior import Posterior

FORMAT_VERSION = 2
"""The newest format that is read; `version_of` says which one a posterior is written in."""

KIND = "galfit_ml posterior"

Arrays = dict[str, NDArray[Any]]

_COMPANIONS: dict[str, tuple[str, Callable[..., Any]]] = {
    "best_fit": ("fit", BestFit),
    "histories": ("history", StarFormationHistories),
    "trace": ("trace", Trace),
}
"""Field of a posterior -> how the names of its arrays begin, and what they make."""

_OF_FORMAT_2 = ("history_", "trace_", "fit_calibration", "fit_noise_scale")


def meta_of(posterior: Posterior) -> str:
    """The JSON text: texts, names and what the arrays cannot hold."""
    content = {
        "kind": KIND,
        "format_version": version_of(arrays_of(posterior)),
        "parameters": [asdict(p) for p in posterior.parameters],
        "ids": posterior.ids,
        "reasons": posterior.reasons,
        "diagnostics": list(posterior.diagnostics),
        "provenance": dict(posterior.provenance),
        "arrays": list(arrays_of(posterior)),
    }
    return json.dumps(content, indent=1)


def arrays_of(posterior: Posterior) -> Arrays:
    """Every array of a posterior by its name in the file; diagnostics are the rows of one array."""
    found: Arrays = {"draws": posterior.draws, "flags": posterior.flags}
    for part, (prefix, _) in _COMPANIONS.items():
        companion = getattr(posterior, part)
        own = {} if companion is None else known_arrays(companion)
        found.update({f"{prefix}_{name}": values for name, values in own.items()})
    if "fit_good" in found:
        found["fit_good"] = found["fit_good"].astype(np.uint8)
    if posterior.embedding is not None:
        found["embedding"] = posterior.embedding
    if posterior.diagnostics:
        found["diagnostics"] = np.stack([np.asarray(v, dtype=np.float64) for v in posterior.diagnostics.values()])
    return found


def version_of(arrays: Arrays) -> int:
    """The oldest format that holds these arrays."""
    return 2 if any(name.startswith(_OF_FORMAT_2) for name in arrays) else 1


def checked_meta(text: bytes, path: Path) -> dict[str, Any]:
    """What a JSON text holds; ValueError or LookupError if no posterior, FileFormatError if a newer galfit_ml's."""
    meta: dict[str, Any] = json.loads(text)
    if meta["kind"] != KIND:
        raise ValueError(f"it holds a {meta['kind']!r}")
    if meta["format_version"] > FORMAT_VERSION:
        raise FileFormatError(
            f"'{path}' has format version {meta['format_version']}, this galfit_ml reads up to {FORMAT_VERSION}: a "
            "newer one wrote it. Upgrade with: pip install -U galfit-ml"
        )
    return meta


def posterior_of(meta: Mapping[str, Any], arrays: Arrays) -> Posterior:
    """The posterior of a JSON text's content and arrays in any byte order."""
    native = {name: values.astype(values.dtype.newbyteorder("=")) for name, values in arrays.items()}
    if "fit_good" in native:
        native["fit_good"] = native["fit_good"].astype(np.bool_)
    return Posterior(
        ParameterSet(tuple(Parameter(**p) for p in meta["parameters"])),
        native["draws"],
        tuple(meta["ids"]),
        native["flags"],
        tuple(meta["reasons"]),
        embedding=native.get("embedding"),
        diagnostics=dict(zip(meta["diagnostics"], native.get("diagnostics", ()), strict=True)),
        provenance=meta["provenance"],
        **_companions(native),
    )


def _companions(arrays: Arrays) -> dict[str, Any]:
    """Best fit, histories and trace, those of which the file has arrays."""
    found = {}
    for part, (prefix, kind) in _COMPANIONS.items():
        own = {name.removeprefix(f"{prefix}_"): a for name, a in arrays.items() if name.startswith(f"{prefix}_")}
        if own:
            found[part] = kind(**own)
    return found
