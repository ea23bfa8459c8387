"""A list of weak references that other threads may add to while it is read.

`weakref.WeakSet` raises RuntimeError if another thread, or a finaliser, adds to it while it is iterated over.
"""

from __future__ import annotations

from typing import Generic, TypeVar, final
from weakref import WeakValueDictionary

__all__ = ("WeakList",)

T = TypeVar("T")


@final
class WeakList(Generic[T]):
    """The objects that were added and are still alive, each once, in the order of their addition."""

    def __init__(self) -> None:
        self._items: WeakValueDictionary[int, T] = WeakValueDictionary()

    def add(self, item: T) -> None:
        """Add ``item``, which the list does not keep alive."""
        self._items[id(item)] = item

    def list_alive(self) -> list[T]:
        """Return the objects that are alive."""
        items = [reference() for reference in self._items.valuerefs()]  # `valuerefs` copies the references at once
        return [item for item in items if item is not None]
