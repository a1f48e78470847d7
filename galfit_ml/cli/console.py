"""What the commands say beside their results."""

from __future__ import annotations

import sys


def tell(text: str) -> None:
    """Write a line to standard error."""
    print(text, file=sys.stderr, flush=True)
