"""Which figures one spectrum of a posterior has: what the backend gave tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from galfit_ml.posterior import Posterior


def available(posterior: Posterior, index: int = 0) -> dict[str, Callable[[], Figure]]:
    """What can be drawn of spectrum `index`, by name: corner, fit, history, trace, saliency; nothing if it failed."""
    if not posterior.ok[index]:
        return {}
    histories, trace, sources = posterior.histories, posterior.trace, posterior.sources
    every: dict[str, tuple[bool, Callable[[], Figure]]] = {
        "corner": (True, lambda: posterior.plot(index)),
        "fit": (posterior.best_fit is not None, lambda: posterior.plot_fit(index)),
        "history": (histories is not None and bool(histories.known[index]), lambda: posterior.plot_history(index)),
        "trace": (trace is not None and bool(trace.n_steps[index] > 0), lambda: posterior.plot_trace(index)),
        "saliency": (bool(sources) and sources[index] is not None, lambda: posterior.plot_saliency(index=index)),
    }
    return {name: draw for name, (given, draw) in every.items() if given}
