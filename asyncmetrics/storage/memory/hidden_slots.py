"""How stand-ins hide slots, and how the slots of histograms are hidden: see `asyncmetrics.storage.memory.stand_ins`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ("HIDDEN_HISTOGRAM", "Change", "Hidden", "Number", "observe", "return_slot", "return_zero", "store_nothing")


class Change(float):
    """An amount that is to be added."""

    __slots__ = ()


class Number(float):
    """What a stand-in returns for a number of its own: an amount that is added to it is a `Change`."""

    __slots__ = ()

    def __add__(self, amount: float) -> Change:
        return Change(amount)

    def __sub__(self, amount: float) -> Change:
        return Change(-amount)


class Hidden(NamedTuple):
    """How a stand-in hides a slot: what it returns for a number of it, and what it does with one that is stored."""

    convert: Callable[[Any], Any]
    store: Callable[[Any, Any], None]


def _store_exemplars(successor: Any, value: Any) -> None:
    successor._exemplars = value
    successor.table.share_exemplars(successor)


def store_nothing(_successor: Any, _value: Any) -> None:
    """Store nothing: another number of the same change is passed on."""


def observe(successor: Any, value: float) -> None:
    """Pass the sum on, which is the amount of an observation, since it was 0 before."""
    successor.observe(value)


def return_zero(_value: Any) -> float:
    """Return 0 for any number of the slot."""
    return 0.0


def return_slot(value: Any) -> Any:
    """Return what the slot has."""
    return value


HIDDEN_HISTOGRAM: dict[str, Hidden] = {
    "_counts": Hidden(lambda counts: [0.0] * len(counts), store_nothing),
    "_exemplars": Hidden(return_slot, _store_exemplars),
    "_sum": Hidden(return_zero, observe),
}
"""The slots of a classic histogram. It stores the sum last, from which the other numbers follow."""
