"""Texts as the files of other tools can hold them."""

from __future__ import annotations

from collections.abc import Iterable


def printable(text: str) -> str:
    """`text` with what is not printable escaped: file names may hold control characters and broken UTF-8."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def in_ascii(texts: Iterable[str]) -> list[bytes]:
    """`texts` in printable ASCII, everything else escaped."""
    return [printable(text).encode("ascii", "backslashreplace") for text in texts]
