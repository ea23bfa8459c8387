"""The operations on a metric with children. Each is written once, for real metrics and for their model.

An operation is a generator function of a subject: a `World`, which has a metric of the package, or a `Model`. It
yields between the steps that the program itself sees as separate. So the model can put another operation between any
two of them, and lists all outcomes that some sequential order allows.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any, Protocol, TypeAlias

__all__ = ("OPERATIONS", "Operation", "Step", "Subject")

Step: TypeAlias = Generator[None, None, Any]


class Subject(Protocol):
    """What operations act on. ``name`` distinguishes the children that operations obtained."""

    def labels(self, name: str, key: str) -> Step:
        """Return the child of ``key``, and remember it as ``name``."""
        ...

    def count(self, child: Any) -> Step:
        """Add 1 to the child's number."""
        ...

    def get_held(self, key: str) -> Any:
        """Return the child that the program holds since the set-up."""
        ...

    def remove(self, key: str) -> Step:
        """Remove the child of ``key``."""
        ...

    def clear(self) -> Step:
        """Remove all children."""
        ...

    def read(self) -> Step:
        """Read the metric from the beginning to the end."""
        ...

    def track(self, child: Any) -> Step:
        """Enter and leave a tracker of what is in progress."""
        ...

    def time(self, child: Any) -> Step:
        """Enter and leave a timer."""
        ...

    def set_function(self, child: Any) -> Step:
        """Give the child a function that returns 7."""
        ...

    def fork(self) -> Step:
        """Fork, and check the child process."""
        ...


Operation: TypeAlias = Callable[[Any, str], Iterator[None]]


def labels(subject: Subject, name: str) -> Step:
    yield from subject.labels(name, "k")


def use(subject: Subject, name: str) -> Step:
    child = yield from subject.labels(name, "k")
    yield
    yield from subject.count(child)


def other(subject: Subject, name: str) -> Step:
    child = yield from subject.labels(name, "j")
    yield
    yield from subject.count(child)


def count(subject: Subject, name: str) -> Step:
    yield from subject.count(subject.get_held("k"))


def remove(subject: Subject, name: str) -> Step:
    yield from subject.remove("k")


def remove_other(subject: Subject, name: str) -> Step:
    yield from subject.remove("u")


def clear(subject: Subject, name: str) -> Step:
    yield from subject.clear()


def remake(subject: Subject, name: str) -> Step:
    yield from subject.remove("k")
    yield
    yield from use(subject, name)


def read(subject: Subject, name: str) -> Step:
    yield from subject.read()


def track(subject: Subject, name: str) -> Step:
    child = yield from subject.labels(name, "k")
    yield
    yield from subject.track(child)


def time(subject: Subject, name: str) -> Step:
    child = yield from subject.labels(name, "k")
    yield
    yield from subject.time(child)


def set_function(subject: Subject, name: str) -> Step:
    child = yield from subject.labels(name, "k")
    yield
    yield from subject.set_function(child)


def fork(subject: Subject, name: str) -> Step:
    yield from subject.fork()


OPERATIONS: dict[str, Operation] = {
    function.__name__: function
    for function in (
        labels, use, other, count, remove, remove_other, clear, remake, read, track, time, set_function, fork,
    )
}  # fmt: skip
