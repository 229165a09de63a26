"""Items inside the page: compressed, so that thousands fit, and in base64, so that no text can end a script."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any, NamedTuple

LIMIT = 2_000_000
"""Characters; the page as a whole stays under 3 MB."""


class Embedded(NamedTuple):
    text: str
    shown: int
    stride: int
    """Every so many-th item is in it; 1 where all are."""


def embed(entries: Sequence[dict[str, Any]], limit: int = LIMIT) -> Embedded:
    """As many items as fit, evenly taken."""
    stride = 1
    while True:
        kept = entries[::stride]
        text = packed(kept)
        if len(text) <= limit or len(kept) <= 1:
            return Embedded(text, len(kept), stride)
        stride += max(1, stride * (len(text) - limit) // limit)


def packed(value: Any) -> str:
    """The same value gives the same text: no time stands in it."""
    return b64encode(gzip.compress(json.dumps(value, separators=(",", ":")).encode(), mtime=0)).decode()
