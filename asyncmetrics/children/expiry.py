"""The time to live of children: which children are stale, because they have not changed for a while.

*Rules.*

- Only a metric with a time to live pays for it, at each change and at each reading. No step grows with the number of
  children.
- Record the time of a change before the change. A reading in between then keeps the child; after the other order, it
  would take the new number for an old one.

*Theory of operation.* `add_times` gives the children of a metric with a time to live a class that records when they
last changed. A child goes through these states:

1. *Fresh*: it was made, or it changed, less than the time to live ago.
2. *Stale*: it has not changed for the time to live. The first reading after that leaves it out, but its table still has
   it, so the same label values find it with its numbers, and a change leads back to 1.
3. *Removed*: it was stale, and nothing but its table referred to it, so nothing could have changed it. The reading has
   removed it from the table. The same label values make a new child, which starts at zero, or in shared storage from
   the counts, as long as its slot has them. An interpreter without a GIL cannot tell that nothing refers to a child, so
   the child stays in state 2.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any, Generic, TypeVar, cast, final

from asyncmetrics.children.interfaces import (
    CounterChild,
    EnumChild,
    GaugeChild,
    HistogramChild,
    InfoChild,
    SummaryChild,
)

__all__ = ("Expiry", "add_times")

S = TypeVar("S", bound="Any")
_IsSame = Callable[[Any, Any], bool]
_EXACT = frozenset({float, int})
_get_changed_at: Callable[[Any], float] = attrgetter("changed_at")


@final
class Expiry(Generic[S]):
    """Judge children by the monotonic time of their last change; ``ttl`` is in seconds."""

    __slots__ = ("ttl",)

    def __init__(self, ttl: float) -> None:
        self.ttl = ttl

    def take_stale(self, batch: list[S]) -> list[S]:
        """Remove the stale children from ``batch``, and return them."""
        limit = time.monotonic() - self.ttl
        stale = [child for child in batch if child.changed_at <= limit]
        if stale:
            ids = set(map(id, stale))
            batch[:] = [child for child in batch if id(child) not in ids]
        return stale

    def list_unchanged(self, stale: list[S]) -> Iterator[bool]:
        """Return an iterator over whether each stale child is still stale; it runs no Python code."""
        return map(float(time.monotonic() - self.ttl).__ge__, map(_get_changed_at, stale))


def _has_number(child: Any, value: Any) -> bool:
    return type(value) in _EXACT and tuple(child.read_numbers()) == (value,)


def _has_facts(child: Any, facts: Any) -> bool:
    return type(facts) is dict and child.read_extra_labels() == facts


def _has_state(child: Any, state: Any) -> bool:
    states = child.table.descriptor.states
    return type(state) is str and state in states and child.read_numbers()[states.index(state)] == 1.0


# By interface: the methods that change a child, and whether a call changes nothing; None if each call is a change.
_CHANGES: dict[type[Any], dict[str, _IsSame | None]] = {
    CounterChild: {"inc": None, "reset": None},
    GaugeChild: {"inc": None, "dec": None, "set": _has_number},
    SummaryChild: {"observe": None},
    HistogramChild: {"observe": None},
    InfoChild: {"info": _has_facts},
    EnumChild: {"state": _has_state},
}


def _add_time(method: Callable[..., Any], is_same: _IsSame | None) -> Callable[..., Any]:
    @functools.wraps(method)
    def change(self: Any, *args: Any, **named: Any) -> Any:
        self.changed_at = time.monotonic()
        return method(self, *args, **named)

    @functools.wraps(method)
    def replace(self: Any, *args: Any, **named: Any) -> Any:
        values = (*args, *named.values())
        if len(values) != 1 or not cast("_IsSame", is_same)(self, values[0]):
            self.changed_at = time.monotonic()
        return method(self, *args, **named)

    return change if is_same is None else replace


@functools.cache
def add_times(kind: type[S]) -> type[S]:
    """Return a subclass of ``kind``, a class of children, that records when a child last changed."""

    def __init__(self: Any, table: Any, labelvalues: tuple[str, ...]) -> None:  # noqa: N807
        self.changed_at = time.monotonic()
        kind.__init__(self, table, labelvalues)

    changes = next(changes for interface, changes in _CHANGES.items() if issubclass(kind, interface))
    own: dict[str, Any] = {name: _add_time(getattr(kind, name), is_same) for name, is_same in changes.items()}
    if issubclass(kind, HistogramChild):
        own["recorder"] = HistogramChild.recorder  # observe, which records the time
    own |= {"__slots__": ("changed_at",), "__init__": __init__, "__doc__": kind.__doc__, "__module__": kind.__module__}
    return type(kind.__name__, (kind,), own)
