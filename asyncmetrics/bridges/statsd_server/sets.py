"""`Sets`: how many distinct members each set of StatsD has had in the last interval.

*Theory of operation.* The members of all sets are together in many small sets of Python, by their hash. One large set
would hold an event loop for 3 ms when it grows, and for 5 ms when it is freed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

from asyncmetrics.bridges.statsd_server.changes import Change, Level
from asyncmetrics.bridges.statsd_server.outcomes import Refused

__all__ = ("Sets",)

_SHARDS = 128


@final
class Sets:
    """The members of this interval, and the gauges that have the numbers of the last one, as StatsD flushes them.

    All sets together have at most ``limit`` members. A member is kept as its hash, which a remote cannot foresee: a
    text of 4 KiB costs as much as a short one.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._members = _make_shards()
        self._numbers: dict[Level, int] = {}
        self._exposed: list[Level] = []

    def make_change(self, gauge: Level) -> Change:
        """Return a function that adds a member to the set whose number ``gauge`` has."""

        def add(member: bytes) -> None:
            mark = hash((gauge, member))
            members = self._members[mark % _SHARDS]
            if mark in members:
                return
            if self._count >= self._limit:
                raise Refused("set_limit")
            members.add(mark)
            self._count += 1
            self._numbers[gauge] = self._numbers.get(gauge, 0) + 1

        return add

    def flush(self) -> Iterator[None]:
        """End the interval, in short steps: set each gauge to its number of members, and those without any to 0."""
        members, self._members, self._count = self._members, _make_shards(), 0
        numbers, self._numbers = self._numbers, {}
        before, self._exposed = self._exposed, []
        for gauge, number in numbers.items():
            gauge.set(float(number))
            self._exposed.append(gauge)
            yield
        for gauge in before:
            if gauge not in numbers:
                gauge.set(0.0)
                yield
        while members:
            members.pop()
            yield


def _make_shards() -> list[set[int]]:
    return [set() for _ in range(_SHARDS)]
