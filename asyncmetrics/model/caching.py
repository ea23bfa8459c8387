"""A cache of results for texts that a client or a collector chooses.

Most of these texts recur, but a client can send any text. With 1024 texts of a megabyte each, a cache would hold a
gigabyte. The cache therefore keeps short texts only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar

__all__ = ("MAX_CACHED_LENGTH", "cache_short_texts")

P = ParamSpec("P")
T = TypeVar("T")

MAX_CACHED_LENGTH = 256
"""The most characters that the arguments of one entry may have: a double needs 24, a request's path seldom 200."""

_ENTRIES = 1024  # at most 256 KiB of keys a cache, 1 MiB where each character takes four bytes


def cache_short_texts(function: Callable[P, T]) -> Callable[P, T]:
    """Return ``function`` with a cache of 1024 results.

    The arguments of ``function`` are texts. A call whose texts are longer than `MAX_CACHED_LENGTH` is not cached.
    """
    cached: Callable[..., T] = lru_cache(maxsize=_ENTRIES)(function)

    @wraps(function)
    def call(*texts: P.args, **_: P.kwargs) -> T:
        return (cached if sum(map(len, texts)) <= MAX_CACHED_LENGTH else function)(*texts)  # type: ignore[arg-type, call-arg]

    return call
