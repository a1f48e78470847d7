"""`galfit-ml train` and what follows: the figure of the curves, and calibration."""

from __future__ import annotations

from galfit_ml_cnn.calibrate import calibrate
from galfit_ml_cnn.curves import draw_curves, read_log
from galfit_ml_cnn.train import parser, tell
from galfit_ml_cnn.train import train as run_training


def train(arguments: list[str] | None = None) -> int:
    """Train a network, draw the curves, calibrate."""
    options = parser()
    options.add_argument("--calibrate", type=int, default=20000, metavar="N", help="mocks; 0: later (default: 20000)")
    chosen = vars(options.parse_args(arguments))
    n_mocks, processes = chosen.pop("calibrate"), chosen["processes"]
    weights = run_training(chosen)
    draw_curves(read_log(weights.with_name("log.jsonl")), weights.with_name("curves.png"))
    if n_mocks:
        calibrate(weights, n_mocks, processes, tell)
    return 0
