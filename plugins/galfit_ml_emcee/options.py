"""What a user may set."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from galfit_ml_emcee.line_error import RELATIVE_ERROR
from galfit_ml_emcee.settings import SamplerSettings
from galfit_ml_emcee.solutions import LEAST_PROBABILITY


@dataclass(frozen=True)
class Options:
    """Options of the backend.

    Args:
        sampler: length and width of chains.
        line_error: relative error of the ratios of emission lines beyond the photoionisation grid's two parameters.
        least_probability: of a redshift, from which it gets a chain of its own.
        resume: folder of chains, from which a run that was stopped goes on; None to keep none.
    """

    sampler: SamplerSettings = field(default_factory=SamplerSettings)
    line_error: float = RELATIVE_ERROR
    least_probability: float = LEAST_PROBABILITY
    resume: Path | None = None

    def __post_init__(self) -> None:
        if self.resume is not None and self.resume.exists() and not self.resume.is_dir():
            raise ValueError(f"resume='{self.resume}' is a file. Name the folder in which chains are to be kept.")
        if not 0 < self.least_probability < 1:
            raise ValueError(
                f"least_probability is a probability between 0 and 1, such as 0.01, not {self.least_probability!r}."
            )
        if not 0 <= self.line_error < 1:
            raise ValueError(f"line_error is a relative error from 0 to 1, such as 0.15, not {self.line_error!r}.")
