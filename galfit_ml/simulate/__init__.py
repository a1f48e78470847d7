"""The physics: stellar populations, gas, dust, intergalactic absorption, distances and instruments, in torch.

Nothing here is imported by the core of the package. Everything here runs with torch, numpy and scipy alone; astropy
is needed only by `galfit_ml.simulate.build`, which makes the data files.

The two doors most users need::

    from galfit_ml import simulate
    mocks = simulate.survey("moons-lr", 100, population="moonrise", exposure="8h", seed=1)
    depth = simulate.signal_to_noise("moons-lr", magnitude=22, exposure="1h", size=0.3)

Everything is loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from galfit_ml.simulate.conditions import Conditions
    from galfit_ml.simulate.etc import signal_to_noise
    from galfit_ml.simulate.galaxies import Galaxies, simple_galaxies
    from galfit_ml.simulate.galaxy import GalaxyModel
    from galfit_ml.simulate.prior import GalaxyPrior
    from galfit_ml.simulate.spectrograph import Spectrograph
    from galfit_ml.simulate.surveys import MockSurvey, survey, survey_chunks

_HOME = {
    "Conditions": "conditions",
    "Galaxies": "galaxies",
    "GalaxyModel": "galaxy",
    "GalaxyPrior": "prior",
    "MockSurvey": "surveys",
    "Spectrograph": "spectrograph",
    "signal_to_noise": "etc",
    "simple_galaxies": "galaxies",
    "survey": "surveys",
    "survey_chunks": "surveys",
}

__all__ = [
    "Conditions",
    "Galaxies",
    "GalaxyModel",
    "GalaxyPrior",
    "MockSurvey",
    "Spectrograph",
    "signal_to_noise",
    "simple_galaxies",
    "survey",
    "survey_chunks",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'galfit_ml.simulate' has no attribute {name!r}")
    return getattr(importlib.import_module(f"galfit_ml.simulate.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
