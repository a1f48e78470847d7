"""The network: a shift-equivariant residual CNN with Monte Carlo dropout, and its training.

It is not a backend yet: there are no weights, so it offers none. `python -m galfit_ml_cnn.train --help` trains one.
"""

from __future__ import annotations
