"""The model of a metric's children: the outcomes that a sequential order of two operations allows.

*Theory of operation.* `list_outcomes` runs A on a fresh `Model` up to each of its steps, then B as a whole, then the
rest of A; after an exception A has no rest, but may be repeated before B. Where B had to wait, every merge of the steps
of both is allowed. A stale child that the program does not hold may be found again or not: `Model` asks ``choose``, and
all choices are tried.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from tests.concurrency.explorer.operations import Operation, Step

__all__ = ("OVERFLOW", "Model", "Outcome", "Setup", "list_outcomes")

OVERFLOW = "__overflow__"
_CHOICES = 3  # how often one run may meet a stale child that it does not hold


class Entry:
    """A child; one that is stale may be hidden from readings."""

    def __init__(self, value: float = 0.0, *, is_stale: bool = False) -> None:
        self.value = value
        self.function: float | None = None
        self.is_stale = is_stale


class Outcome(NamedTuple):
    """The children at the end: their numbers, which of them may be hidden, and which names refer to them."""

    numbers: tuple[tuple[str, float], ...]
    hideable: frozenset[str]
    names: frozenset[tuple[str, str]]

    def allows(self, numbers: dict[str, float], names: frozenset[tuple[str, str]]) -> bool:
        """Return whether a final reading of ``numbers``, and the children found by their labels, fit."""
        hidden = {key for key, _ in self.numbers if key not in numbers}
        visible = tuple(item for item in self.numbers if item[0] not in hidden)
        own = frozenset(pair for pair in self.names if pair[0] not in hidden)
        return hidden <= self.hideable and dict(visible) == numbers and own == names


class Setup(NamedTuple):
    """The state before the operations: numbers by key, the keys that are held, stale, and the limit of children.

    While the stale ones become stale, the others are counted on once.
    """

    numbers: dict[str, float]
    held: frozenset[str] = frozenset()
    stale: frozenset[str] = frozenset()
    max_children: int | None = None


class Model:
    """The children of a metric as a dict, with the methods of `operations.Subject`."""

    def __init__(self, setup: Setup, choices: Sequence[bool] = ()) -> None:
        self._choices = iter(choices)
        self._max_children = setup.max_children
        self.table = {
            key: Entry(number + (bool(setup.stale) and key not in setup.stale), is_stale=key in setup.stale)
            for key, number in setup.numbers.items()
        }
        self.held = {key: self.table[key] for key in setup.held}
        self.named: dict[str, Entry] = {}

    def labels(self, name: str, key: str) -> Step:
        places = len(self.table.keys() - {OVERFLOW})
        if key not in self.table and self._max_children is not None and places >= self._max_children:
            key = OVERFLOW
        yield
        entry = self.table.get(key)
        if entry is None or (entry.is_stale and not self._is_held(entry) and next(self._choices, False)):
            entry = self.table[key] = Entry()
        yield
        self.named[name] = entry
        return entry

    def _is_held(self, entry: Entry) -> bool:
        return entry in self.held.values() or entry in self.named.values()

    def count(self, child: Entry) -> Step:
        child.value += 1
        child.is_stale = False
        yield

    def get_held(self, key: str) -> Entry:
        return self.held[key]

    def remove(self, key: str) -> Step:
        self.table.pop(key, None)
        yield

    def clear(self) -> Step:
        for key in list(self.table):
            self.table.pop(key, None)
            yield

    def read(self) -> Step:
        yield

    def track(self, child: Entry) -> Step:
        child.value += 1
        yield
        child.value -= 1
        yield

    def time(self, child: Entry) -> Step:
        yield from self.count(child)

    def set_function(self, child: Entry) -> Step:
        child.function = 7.0
        yield

    def fork(self) -> Step:
        yield

    def get_outcome(self) -> Outcome:
        numbers = {key: entry.value if entry.function is None else entry.function for key, entry in self.table.items()}
        hideable = frozenset(key for key, entry in self.table.items() if entry.is_stale)
        references = {**self.held, **self.named}
        found = (
            (key, name) for name, child in references.items() for key, entry in self.table.items() if entry is child
        )
        return Outcome(tuple(sorted(numbers.items())), hideable, frozenset(found))


_END = object()


def _exhaust(steps: Iterator[Any]) -> None:
    for _ in steps:
        pass


def _run_between(make: Callable[[], Any], a: Operation, b: Operation, at: int) -> tuple[Any, bool]:
    """Run B after ``at`` steps of A; return the model, and whether A has fewer steps."""
    model = make()
    first = a(model, "A")
    for _ in range(at):
        if next(first, _END) is _END:
            return model, True
    _exhaust(b(model, "B"))
    _exhaust(first)
    return model, False


def _run_interrupted(make: Callable[[], Any], a: Operation, b: Operation, at: int, *, again: bool) -> tuple[Any, bool]:
    """End A after ``at`` steps, repeat it with ``again``, then run B."""
    model = make()
    first = a(model, "X")
    is_short = any(next(first, _END) is _END for _ in range(at))
    model.named.clear()  # the program did not get what A was about to return
    if again:
        _exhaust(a(model, "A"))
    _exhaust(b(model, "B"))
    return model, is_short


def _run_merged(make: Callable[[], Any], a: Operation, b: Operation) -> Iterator[Any]:
    length_a = sum(1 for _ in a(make(), "A")) + 1
    length_b = sum(1 for _ in b(make(), "B")) + 1
    for positions in itertools.combinations(range(length_a + length_b), length_a):
        model = make()
        both = a(model, "A"), b(model, "B")
        for at in range(length_a + length_b):
            next(both[at not in positions], None)
        for steps in both:
            _exhaust(steps)
        yield model


def list_outcomes(make: Callable[[Sequence[bool]], Any], a: Operation, b: Operation, mode: str) -> frozenset[Any]:
    """Return the outcomes that are allowed; ``mode`` is ``between``, ``merged``, ``cut`` or ``cut again``."""
    outcomes = set()
    for choices in itertools.product((False, True), repeat=_CHOICES):
        build = lambda choices=choices: make(choices)
        if mode == "merged":
            outcomes.update(model.get_outcome() for model in _run_merged(build, a, b))
            continue
        for at in itertools.count():
            if mode == "between":
                model, is_past = _run_between(build, a, b, at)
            else:
                model, is_past = _run_interrupted(build, a, b, at, again=mode == "cut again")
                outcomes.add(model.get_outcome())
            if is_past:
                break
            outcomes.add(model.get_outcome())
    return frozenset(outcomes)
