"""`DatagramWriter`: lines packed into datagrams, each of which marks what it holds as sent once it was sent.

*Theory of operation.*

1. The lines of a child fit into the open datagram. They are added to it. The next `Round.cut` has their series.
2. They do not fit. Their series is taken out of that cut (`Round.split`), and the open datagram is closed.
3. They fill one or more datagrams. Each has a mark for its own lines, so a child of which only some datagrams were sent
   is neither sent twice nor lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, final

from asyncmetrics.bridges.push.deltas import Round
from asyncmetrics.bridges.push.sink import Part

__all__ = ("DatagramWriter", "Line")


class Line(NamedTuple):
    """Text that is never cut, in ASCII, and the place of its number in `Round.take`, or None if it was not taken."""

    text: str
    place: int | None


@final
class DatagramWriter:
    """Writes datagrams of at most ``max_bytes`` into ``parts``."""

    def __init__(self, max_bytes: int, taken: Round, parts: deque[Part]) -> None:
        self._room = max_bytes + 1  # each line counts with its line end, and the last one has none
        self._taken = taken
        self._parts = parts
        self._texts: list[str] = []
        self._size = 0
        self._marks: list[Callable[[], None]] = []

    def add(self, lines: Sequence[Line], series: Hashable, then: float | None) -> None:
        """Add the lines of one child. ``series`` and ``then`` are those of `Round.take`, if lines have a place.

        Each line must fit into a datagram.
        """
        size = sum([len(line.text) + 1 for line in lines])
        if self._size + size <= self._room:
            self._texts += [line.text for line in lines]
            self._size += size
            return
        groups = self._group(lines)
        indexes = [[line.place for line in group if line.place is not None] for group in groups]
        marks = self._taken.split(series, then, indexes) if any(indexes) else []
        for number, group in enumerate(groups):
            self.close()
            self._texts = [line.text for line in group]
            self._size = sum([len(text) + 1 for text in self._texts])
            self._marks = marks[number : number + 1]

    def close(self) -> None:
        """End the open datagram, if it has lines."""
        on_sent = _join([self._taken.cut(), *self._marks])
        if self._texts:
            self._parts.append(Part("\n".join(self._texts).encode("ascii"), len(self._texts), on_sent))
        self._texts, self._size, self._marks = [], 0, []

    def _group(self, lines: Sequence[Line]) -> list[list[Line]]:
        groups: list[list[Line]] = []
        size = self._room
        for line in lines:
            size += len(line.text) + 1
            if size > self._room:
                groups.append([])
                size = len(line.text) + 1
            groups[-1].append(line)
        return groups


def _join(functions: Sequence[Callable[[], None]]) -> Callable[[], None]:
    def call_all() -> None:
        for function in functions:
            function()

    return functions[0] if len(functions) == 1 else call_all
