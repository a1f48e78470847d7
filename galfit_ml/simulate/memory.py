"""Memory that is freed and taken again at once."""

from __future__ import annotations

import torch

REUSED_BYTES = 31 * 2**20
"""Just below the 32 MB up to which glibc raises its thresholds."""


def keep_freed_memory() -> None:
    """Let the C library keep freed arrays of up to 31 MB for the next one instead of handing them back to the system.

    glibc maps large arrays afresh, page by page, until one of that size has been freed; then it takes arrays of that
    size from its heap and keeps up to twice as much of it. Batches of spectra come and go by the hundred, and fresh
    pages cost as much as the arithmetic on them. Nothing is touched here; other C libraries do not mind.
    """
    torch.empty(REUSED_BYTES, dtype=torch.uint8)
