"""What cumulative numbers have grown by since they were last sent, for systems that add up changes themselves.

*Theory of operation.*

1. `Deltas.begin` opens a round for one payload. `Round.take` returns by how much the numbers of a series have grown,
   and remembers the new ones.
2. The end of a part is marked by `Round.cut`, which returns what to call once the part was sent. Only then the new
   numbers count as sent, from the next round on: a part that is lost costs nothing, since the next payload has its
   changes too.
3. `Round.finish_in_steps` forgets the series that are no longer exposed.

The series are in many small dicts, by their hash: one large dict would move all its series in one step when it grows,
which takes 4 ms for 100,000 of them (benchmarks/push_otlp.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Hashable, Iterable, Iterator
from functools import partial
from typing import final

__all__ = ("Deltas", "Round")

_SHARDS = 128
_STEP = 150  # series in one step of an event loop: benchmarks/push_otlp.py


@final
class _Known:
    """The numbers of a series that were sent last, the time of their collection, and the last round that had it."""

    __slots__ = ("numbers", "round", "time")

    def __init__(self, numbers: tuple[float, ...], time: float, round: object) -> None:
        self.numbers = numbers
        self.time = time
        self.round = round


@final
class Deltas:
    """The numbers of each series that were sent last, and the Unix time of their collection."""

    def __init__(self) -> None:
        self._sent: list[dict[Hashable, _Known]] = [{} for _ in range(_SHARDS)]
        self._confirmed: deque[dict[Hashable, _Known]] = deque()

    def begin(self, now: float) -> Round:
        """Return the round of a payload that is collected ``now``; do the steps of `prepare` that are left."""
        for _ in self.prepare():
            pass
        return Round(self._sent, self._confirmed.append, now)

    def prepare(self) -> Iterator[None]:
        """Take over the numbers of the parts that were sent, in short steps."""
        while self._confirmed:
            numbers = self._confirmed[0]
            for _ in range(min(_STEP, len(numbers))):
                series, known = numbers.popitem()
                self._sent[hash(series) % _SHARDS][series] = known
            if not numbers:
                self._confirmed.popleft()
            yield


@final
class Round:
    """The series of one payload."""

    def __init__(
        self, sent: list[dict[Hashable, _Known]], confirm: Callable[[dict[Hashable, _Known]], None], now: float
    ) -> None:
        self._sent = sent
        self._confirm = confirm
        self._now = now
        self._mark = object()  # of this round; the round itself would keep all that it holds alive
        self._found = 0  # the series that were sent before
        self._pending: dict[Hashable, _Known] = {}

    def take(
        self, series: Hashable, numbers: tuple[float, ...], may_fall: Container[int] = ()
    ) -> tuple[float | None, tuple[float, ...]]:
        """Return when ``series`` was last sent, and by how much each of its ``numbers`` has grown since.

        The time is None, and the numbers are returned as they are, for a series that is new or has begun again: one of
        its numbers has fallen whose index is not in ``may_fall``. Numbers that have not changed count as sent at once.
        """
        known = self._sent[hash(series) % _SHARDS].get(series)
        if known is None:
            self._pending[series] = _Known(numbers, self._now, self._mark)
            return None, numbers
        if known.round is not self._mark:
            known.round = self._mark
            self._found += 1
        then, before = known.time, known.numbers
        if before == numbers:
            known.time = self._now
            return then, (0.0,) * len(numbers)
        self._pending[series] = _Known(numbers, self._now, self._mark)
        if len(before) != len(numbers) or _has_fallen(before, numbers, may_fall):
            return None, numbers
        return then, tuple([new - old for new, old in zip(numbers, before, strict=True)])

    def cut(self) -> Callable[[], None]:
        """Return a function that marks the series which were taken since the last cut as sent."""
        pending, self._pending = self._pending, {}
        return partial(self._confirm, pending)

    def split(self, series: Hashable, then: float | None, groups: Iterable[Iterable[int]]) -> list[Callable[[], None]]:
        """Take ``series`` out of the next `cut`, for one whose numbers are in several parts.

        ``then`` is the time that `take` has returned, and ``groups`` are the indexes of the numbers of each part.
        Return for each part a function that marks its numbers as sent, and those of the parts before it.
        """
        numbers = self._pending.pop(series).numbers
        known = self._sent[hash(series) % _SHARDS].get(series)
        sent = [0.0] * len(numbers) if then is None or known is None else list(known.numbers)
        marks: list[Callable[[], None]] = []
        for group in groups:
            for index in group:
                sent[index] = numbers[index]
            marks.append(partial(self._confirm, {series: _Known(tuple(sent), self._now, self._mark)}))
        return marks

    def finish_in_steps(self) -> Iterator[None]:
        """Forget the series that were not taken in this round, in short steps; most rounds need none."""
        if self._found == sum(map(len, self._sent)):
            return
        for sent in self._sent:
            for series in [series for series, known in sent.items() if known.round is not self._mark]:
                sent.pop(series, None)
            yield


def _has_fallen(before: tuple[float, ...], numbers: tuple[float, ...], may_fall: Container[int]) -> bool:
    pairs = enumerate(zip(numbers, before, strict=True))
    return any(new < old and index not in may_fall for index, (new, old) in pairs)
