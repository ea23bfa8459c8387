"""Things that are held weakly and listed while others come and go.

A `weakref.WeakSet` raises when another thread, or a finaliser, adds to it while it is listed.
"""

from __future__ import annotations

from typing import Generic, TypeVar, final
from weakref import WeakValueDictionary

__all__ = ("WeakList",)

T = TypeVar("T")


@final
class WeakList(Generic[T]):
    """What was added and is still held by somebody, each once, in the order of its coming."""

    def __init__(self) -> None:
        self._things: WeakValueDictionary[int, T] = WeakValueDictionary()

    def add(self, thing: T) -> None:
        """Take note of ``thing``."""
        self._things[id(thing)] = thing

    def all(self) -> list[T]:
        """Return what there is."""
        found = [reference() for reference in self._things.valuerefs()]  # taken in one step
        return [thing for thing in found if thing is not None]
