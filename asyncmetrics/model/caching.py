"""A cache of results by text, for texts that a client or a collector chooses.

The same few texts come again and again, and any others may come as well: of a megabyte each, 1024 of them would pin a
gigabyte. A text that is longer than those that recur is therefore never kept.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar

__all__ = ("LONGEST_KEPT", "cache_short")

P = ParamSpec("P")
T = TypeVar("T")

LONGEST_KEPT = 256
"""How many characters of text one entry of a cache may have: a double has 24, the path of a request seldom 200."""

_ENTRIES = 1024


def cache_short(function: Callable[P, T]) -> Callable[P, T]:
    """Return ``function``, whose arguments are texts, with a cache of its results for short texts."""
    cached: Callable[..., T] = lru_cache(maxsize=_ENTRIES)(function)

    @wraps(function)
    def call(*texts: P.args, **_: P.kwargs) -> T:
        return (cached if sum(map(len, texts)) <= LONGEST_KEPT else function)(*texts)  # type: ignore[arg-type, call-arg]

    return call
