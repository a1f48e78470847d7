"""Libraries of the extra `latent`, which only the latent space needs."""

from __future__ import annotations

from functools import partial

from galfit_ml.optional import needed as needed_of_extra

needed = partial(needed_of_extra, extra="latent")
