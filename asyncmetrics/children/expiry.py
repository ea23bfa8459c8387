"""The time to live of children: which children are stale, because their numbers have not changed for a while.

*Rules.* No step grows with the number of children. Between readings, expiry costs nothing.

*Theory of operation.* A child of a metric with a time to live goes through these states:

1. *New*: no reading has seen it yet.
2. *Fresh*: a reading has seen it, and remembers its numbers and when it first saw them. Another reading that sees other
   numbers remembers those: the child is fresh again.
3. *Stale*: its numbers have not changed for the time to live. Readings leave it out, but its table still has it, so the
   same label values find it with its numbers, and a change leads back to 2.
4. *Removed*: it was stale, and nothing but its table referred to it, so nothing could have changed it. The reading has
   removed it from the table. The same label values make a new child, which starts at zero, or in shared storage from
   the counts, as long as its slot has them. An interpreter without a GIL cannot tell that nothing refers to a child, so
   the child stays in state 3.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from operator import eq
from typing import Any, Generic, TypeVar, final

__all__ = ("Expiry",)

S = TypeVar("S", bound="Any")


@final
class Expiry(Generic[S]):
    """Remember each child's state and the monotonic time of its last change, beside the child in its segment."""

    __slots__ = ("ttl",)

    def __init__(self, ttl: float) -> None:
        self.ttl = ttl

    def take_stale(self, batch: list[S]) -> list[S]:
        """Remove the stale children from ``batch``, and return them."""
        now = time.monotonic()
        stale = [child for child in batch if now - self._see(child, now) >= self.ttl]
        if stale:
            ids = set(map(id, stale))
            batch[:] = [child for child in batch if id(child) not in ids]
        return stale

    def _see(self, child: S, now: float) -> float:
        """Return when the numbers of ``child`` last changed, as far as the readings up to ``now`` have seen."""
        segment = child.segment
        if child.position >= len(segment.children):  # it was removed a moment ago
            return now
        seen: list[Any] | None = segment.seen
        if seen is None:
            seen = segment.seen = [None] * len(segment.children)
        state, known = child.get_state(child), seen[child.position]
        if known is None or known[0] != state:
            # A histogram changes its list in place.
            frozen = tuple(part[:] if isinstance(part, list) else part for part in state)
            seen[child.position] = known = (frozen, now)
        changed_at: float = known[1]
        return changed_at

    def compare(self, stale: list[S]) -> Iterator[bool]:
        """Return an iterator over whether each stale child still has the state that it was last seen with."""
        return map(eq, map(type(stale[0]).get_state, stale), [self._get_state(child) for child in stale])

    def _get_state(self, child: S) -> object:
        seen = child.segment.seen  # None also of a child that was removed a moment ago
        known = None if seen is None else seen[child.position]
        return None if known is None else known[0]

    def get_changed_at(self, child: S) -> float | None:
        """Return the monotonic time of the reading that last saw a change of ``child``; None if it was never read."""
        seen = child.segment.seen
        known = None if seen is None else seen[child.position]
        return None if known is None else known[1]
