"""`RecentCache`: a bounded mapping that keeps what was used last, at the cost of a dict for each look-up.

*Theory of operation.* There are two dicts. New entries, and old ones that are used, go into ``newer``. Once it is full
it becomes ``older``, and what was in ``older`` is forgotten: it was not used since the last change. It is freed one
entry at a time, with each new one: all at once would hold an event loop for milliseconds.
"""

from __future__ import annotations

from typing import Generic, TypeVar, final

__all__ = ("RecentCache",)

K = TypeVar("K")
V = TypeVar("V")


@final
class RecentCache(Generic[K, V]):
    """At most twice ``limit`` entries, the last used ones among them. No value may be None."""

    __slots__ = ("_forgotten", "_limit", "_older", "newer")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.newer: dict[K, V] = {}
        self._older: dict[K, V] = {}
        self._forgotten: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self.newer) + len(self._older)

    def get(self, key: K) -> V | None:
        """Return the value of ``key``, or None."""
        value = self.newer.get(key)
        if value is None:
            value = self._older.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Remember ``value``, and forget what was not used for long."""
        if self._forgotten:
            self._forgotten.popitem()
        if len(self.newer) >= self._limit:
            self._forgotten, self._older, self.newer = self._older, self.newer, {}
        self.newer[key] = value
