"""Stand-ins: children of memory storage that pass every change on to their *successors* in another table.

A process may learn that it is one of several when the program already holds children, methods of children and the
functions of timers. They must count in shared storage from then on, and cost nothing before.

*Rules.* Pass on what has changed, never a sum that was loaded before: so nothing is lost between threads.

*Theory of operation.* `make_stand_in` changes the class of a child. The new class has the same slots, but a property
hides each of those that hold numbers. The code of the old class, which bound methods still run, uses the properties:

1. ``self.value`` returns a `Number`. Its sum with an amount is a `Change` of this amount.
2. Storing a `Change` passes its amount on to the successor; storing any other number passes on that number.
3. ``self._sum`` of a summary or histogram returns 0, so what is stored there is the amount that was observed.

The hidden slots keep the numbers that the child had before; `copy_slots` copies them to the successor. A stand-in asks
its table for the successor until `link` gives it one, which it then finds beside its ``position``. A reading that has
begun before reads the successor through it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from asyncmetrics.children.exemplar_turns import AskingChild
from asyncmetrics.children.interfaces import GaugeFunction, HistogramChild
from asyncmetrics.children.table import Child
from asyncmetrics.loops import RUNNING
from asyncmetrics.storage.memory.hidden_slots import (
    HIDDEN_HISTOGRAM,
    Change,
    Hidden,
    Number,
    observe,
    return_slot,
    return_zero,
    store_nothing,
)
from asyncmetrics.storage.memory.plain import (
    MemoryCounter,
    MemoryEnum,
    MemoryGauge,
    MemoryHistogram,
    MemoryInfo,
    MemorySummary,
)

__all__ = ("copy_slots", "find_link", "link", "make_stand_in")


class _Link(int):
    """The position of a child, which also has the ``successor`` of the child."""

    successor: Any


def _store_counter(successor: Any, value: float) -> None:
    if type(value) is Change:
        successor.inc(float(value))
    else:
        successor.reset()  # the only other number that a counter stores


def _store_gauge(successor: Any, value: float) -> None:
    if type(value) is Change:
        successor.inc(float(value))
    else:
        successor.set(value)


def _store_exemplar(successor: Any, value: Any) -> None:
    successor.exemplar = value
    successor.table.share_exemplars(successor)


# By class and slot. A summary and a histogram store the sum last, so the other numbers need not be passed on: the sum
# has changed by the amount, which says which bucket it was. `native_stand_ins` has more.
_HIDDEN: dict[type[Any], dict[str, Hidden]] = {
    MemoryCounter: {
        "value": Hidden(Number, _store_counter),
        "exemplar": Hidden(return_slot, _store_exemplar),
        "created": Hidden(return_slot, store_nothing),
    },
    MemoryGauge: {"value": Hidden(Number, _store_gauge)},
    MemorySummary: {"_count": Hidden(return_zero, store_nothing), "_sum": Hidden(return_zero, observe)},
    MemoryHistogram: HIDDEN_HISTOGRAM,
    MemoryInfo: {"_facts": Hidden(return_slot, lambda successor, value: successor.info(value))},
    MemoryEnum: {
        "_state": Hidden(
            return_slot, lambda successor, index: successor.state(successor.table.descriptor.states[index])
        )
    },
}
# By the class whose children they replace: the stand-ins without a link and with one; made at the first use.
_stand_ins: dict[type[Any], tuple[type[Any], type[Any]]] = {}
_linked_classes: set[type[Any]] = set()


def _hide(slot: Any, hidden: Hidden) -> property:
    convert, store = hidden

    def put(child: Any, value: Any) -> None:
        store(child.table.get_successor(child), value)

    return property(lambda child: convert(slot.__get__(child)), put)


def _hide_linked(slot: Any, hidden: Hidden) -> property:
    name = slot.__name__
    convert, store = hidden
    if convert is return_zero:
        return property(return_zero, lambda child, value: store(child.position.successor, value))
    return property(
        lambda child: convert(getattr(child.position.successor, name)),
        lambda child, value: store(child.position.successor, value),
    )


def _set_function(child: Any, f: GaugeFunction, *, loop: object = RUNNING) -> None:
    child.table.get_successor(child).set_function(f, loop=loop)


def _add_number(child: Any, index: int, amount: float) -> None:
    child.table.get_successor(child).add_number(index, amount)


def _set_number(child: Any, index: int, value: float) -> None:
    child.table.get_successor(child).set_number(index, value)


def _ask_nothing(_child: Any, _place: int, _amount: float) -> None:
    """Leave it to the successor to ask for an exemplar."""


def _find_plain(kind: type[Any]) -> type[Any]:
    """Return the class of `plain` that a class is or inherits from."""
    return next(plain for plain in kind.__mro__ if plain in _HIDDEN)


def _make_class(kind: type[Any], hide: Callable[[Any, Hidden], property]) -> type[Any]:
    plain = _find_plain(kind)
    names: dict[str, Any] = {"__slots__": ()}
    names.update((name, hide(getattr(plain, name), hidden)) for name, hidden in _HIDDEN[plain].items())
    if plain is MemoryGauge:
        names["set_function"] = _set_function
    if issubclass(kind, AskingChild):
        names["ask"] = _ask_nothing
    if plain in {MemorySummary, MemoryHistogram}:
        names.update(add_number=_add_number, set_number=_set_number)
    if hide is _hide_linked:
        names["read_numbers"] = lambda child: child.position.successor.read_numbers()
        if issubclass(plain, HistogramChild):
            names["read_counts"] = lambda child: child.position.successor.read_counts()
            names["read_native"] = lambda child: child.position.successor.read_native()
    return type(f"StandIn{kind.__name__}", (kind,), names)


def _get_classes(kind: type[Any]) -> tuple[type[Any], type[Any]]:
    classes = _stand_ins.get(kind)
    if classes is None:
        classes = _stand_ins.setdefault(kind, (_make_class(kind, _hide), _make_class(kind, _hide_linked)))
        _linked_classes.add(classes[1])
    return classes


def make_stand_in(child: Any) -> None:
    """Let ``child`` pass every change on from now on."""
    kind = type(child)
    if any(kind in classes for classes in _stand_ins.values()):
        return
    if child.table.descriptor.native is not None:
        from asyncmetrics.storage.memory import native_stand_ins  # few programs need it

        _HIDDEN.update(native_stand_ins.HIDDEN_NATIVE)
        native_stand_ins.replace_buckets(child, _get_classes(kind)[0])
        return
    stand_in = _get_classes(kind)[0]
    if isinstance(child, MemoryHistogram):
        # The functions of timers go on to count in the old list. No call in between: another thread may observe.
        child._counts = child._counts[:]
    child.__class__ = stand_in


def link(child: Any, successor: Any) -> None:
    """Let a stand-in pass changes on to ``successor`` without asking its table."""
    if type(child) not in _linked_classes:
        child.position = _Link(child.position)
        child.position.successor = successor
        child.__class__ = _get_classes(type(child).__base__)[1]  # type: ignore[arg-type]  # a stand-in has one


def find_link(child: Any) -> Any:
    """Return the successor that a stand-in is linked to, None if there is none."""
    return child.position.successor if type(child) in _linked_classes else None


def _list_slots(plain: type[Any]) -> list[str]:
    """Return the slots of a class that `Child` does not have."""
    classes = (kind for kind in plain.__mro__ if issubclass(kind, Child) and kind is not Child)
    return [name for kind in classes for name in kind.__dict__["__slots__"]]


def copy_slots(child: Child, successor: Child) -> None:
    """Copy the numbers that a stand-in has hidden to a new child, which has the same slots."""
    plain = _find_plain(type(child))
    for name in _list_slots(plain):
        if name != "_bounds":  # the buckets of its table
            slot = getattr(plain, name)
            slot.__set__(successor, slot.__get__(child))
    if child.changed_at < inf:  # only children with a time to live have a slot for it
        successor.changed_at = child.changed_at  # type: ignore[misc]  # a slot of the subclass
