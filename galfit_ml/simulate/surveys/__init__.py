"""Mock surveys: populations of galaxies, seen by an instrument, with everything that is true of them.

* `training`: the one prior that network, sampler and benchmarks share;
* `moonrise`: a realistic population of bulge + disc galaxies at z = 0.7-2.6;
* `moonz-grid`: three galaxy types on a grid, after the simulated spectra that the redshift code moonz was tested on.

Stars, broad-line quasars and sky-only fibres come in on request.
"""

from __future__ import annotations

from galfit_ml.simulate.surveys.columns import TRUTH_COLUMNS, truth_columns
from galfit_ml.simulate.surveys.mock import MockSurvey
from galfit_ml.simulate.surveys.settings import POPULATIONS, SurveyError, SurveySettings, make_settings
from galfit_ml.simulate.surveys.survey import ChunkMaker, make_chunks, survey, survey_chunks

__all__ = [
    "POPULATIONS",
    "TRUTH_COLUMNS",
    "ChunkMaker",
    "MockSurvey",
    "SurveyError",
    "SurveySettings",
    "make_chunks",
    "make_settings",
    "survey",
    "survey_chunks",
    "truth_columns",
]
