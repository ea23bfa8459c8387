"""When a child asks the provider of its metric for an exemplar, and what it does with the answer.

*Rules.*

- Check the amount first, ask second, count third. The provider may use the same child, and may switch threads.
- Nothing that a provider raises or returns reaches the observed code. A failure is counted; the first one is logged.
- Hold no lock while a provider runs: it may wait for a thread that waits for this child.

*Theory of operation.* A *place* keeps one exemplar. A counter has one place, a histogram one for each bucket, and a
native histogram without classic buckets one for each power of two. A child keeps a number for each place, its *turn*.
The table counts its readings in ``scrapes``, with which the child compares the turn:

1. The turn is 0, or an earlier count of readings: the next observation asks.
2. The turn is the present count of readings: the place has its exemplar. Nothing asks before the next reading.
3. The turn is negative: the provider returned None. Each observation adds 1, until the turn is 0. So the 1st, 2nd,
   4th, 8th … observation after a reading asks, and later every 64th.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Mapping
from sys import float_info
from typing import Any, TypeVar, cast

from asyncmetrics.children.amounts import to_amount
from asyncmetrics.children.exemplars import NO_EXEMPLAR, make_exemplar
from asyncmetrics.children.interfaces import CounterChild, HistogramChild
from asyncmetrics.children.table import Child, ChildTable
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.samples import Exemplar

__all__ = ("TURN_SLOTS", "AskingChild", "AskingCounter", "AskingHistogram", "make_asking_class")

C = TypeVar("C", bound=Child)

TURN_SLOTS = ("_scrapes", "_turns", "_waits")
"""The slots that a child that asks has besides those of the class that it extends."""

_LONGEST_WAIT = 64  # observations
_COUNTED = "the number counts, without an exemplar"


class AskingChild(Child):
    """A child that asks for exemplars. A subclass inherits from the child of a storage too, and has `TURN_SLOTS`."""

    __slots__ = ()
    _scrapes: list[int]
    _turns: list[int]
    _waits: dict[int, tuple[int, int]]  # by place: the count of readings and the wait after the last answer of None

    def __init__(self, table: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:
        super().__init__(table, labelvalues)
        self._scrapes = table.scrapes  # type: ignore[misc]  # a slot of the subclass, as those below
        self._turns = [0] * self.count_places(table)  # type: ignore[misc]
        self._waits = {}  # type: ignore[misc]

    def count_places(self, table: ChildTable[Any]) -> int:
        """Return how many places a child of ``table`` has."""
        return len(table.descriptor.buckets) or 1

    @abstractmethod
    def keep_exemplar(self, place: int, exemplar: Exemplar) -> None:
        """Replace the exemplar of a place."""

    def reset_turns(self) -> None:
        """Let each place ask at its next observation, because its exemplar was dropped."""
        self._turns[:] = [0] * len(self._turns)

    def take_turn(self, place: int, amount: float) -> None:
        """Ask if it is the turn of a place. Hot methods have these statements inline: benchmarks/hot_path.py."""
        turn = self._turns[place]
        if turn != self._scrapes[0]:
            if turn < 0:
                self._turns[place] = turn + 1
            else:
                self.ask(place, amount)

    def ask(self, place: int, amount: float) -> None:
        """Ask the provider about an observation of ``amount``, and keep the exemplar if there is one."""
        scrapes = self._scrapes[0]
        self._turns[place] = scrapes  # first: the provider itself may observe
        exemplar = self._call_provider(amount)
        if exemplar is not None:
            self.keep_exemplar(place, exemplar)
            return
        asked_in, wait = self._waits.get(place, (0, 0))
        wait = min(2 * wait, _LONGEST_WAIT) if asked_in == scrapes else 1
        self._waits[place] = (scrapes, wait)
        self._turns[place] = 1 - wait

    def _call_provider(self, amount: float) -> Exemplar | None:
        provider = self.table.descriptor.exemplars
        try:
            labels = None if provider is None else provider()
            return None if labels is None else make_exemplar(self, labels, amount, _COUNTED)
        except Exception as error:  # noqa: BLE001  # the observed code must not fail
            pass_interruption(error)
            self.table.count_exemplar_error(error)
            return None


class AskingCounter(AskingChild, CounterChild):
    """A counter that asks before it does what the child of its storage does."""

    __slots__ = ()
    exemplar: Exemplar | None

    def inc(self, amount: float = 1.0, exemplar: Mapping[str, str] | None = None) -> None:
        """Increase the counter by ``amount``, which is finite and not negative."""
        amount = to_amount(self, amount)
        if exemplar is None and 0.0 <= amount <= float_info.max:
            self.take_turn(0, amount)
        super().inc(amount, exemplar)  # type: ignore[safe-super]  # of the storage

    def reset(self) -> None:
        """Set the counter to zero."""
        super().reset()  # type: ignore[safe-super]
        self.reset_turns()

    def keep_exemplar(self, place: int, exemplar: Exemplar) -> None:  # noqa: ARG002  # the only one
        """Replace the exemplar."""
        self.exemplar = exemplar  # type: ignore[misc]


class AskingHistogram(AskingChild, HistogramChild):
    """A histogram that asks before it does what the child of its storage does."""

    __slots__ = ()
    _bounds: tuple[float, ...]
    _exemplars: dict[int, Exemplar] | None

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Add one observation."""
        amount = to_amount(self, amount)
        if exemplar is None and amount == amount:  # noqa: PLR0124  # no NaN
            self.take_turn(self.find_place(amount), amount)
        super().observe(amount, exemplar)  # type: ignore[safe-super]

    def find_place(self, amount: float) -> int:
        """Return the place of an amount, which is no NaN: its bucket."""
        return bisect_left(self._bounds, amount)

    def recorder(self) -> Callable[[float], None]:
        """Return `observe`."""
        return self.observe

    def closed_recorder(self) -> Callable[[float], None]:
        """Return a function that observes and asks for no exemplar."""
        return lambda seconds: self.observe(seconds, NO_EXEMPLAR)

    def keep_exemplar(self, place: int, exemplar: Exemplar) -> None:
        """Replace the exemplar of a bucket."""
        self._exemplars = {**(self._exemplars or {}), place: exemplar}  # type: ignore[misc]


def make_asking_class(kind: type[C], first: type[Any]) -> type[C]:
    """Return a subclass of ``kind`` whose methods are those of ``first``, and then those of ``kind``."""
    names = {"__slots__": TURN_SLOTS, "__doc__": kind.__doc__, "__module__": kind.__module__}
    return cast("type[C]", type(f"Asking{kind.__name__}", (first, kind), names))
