"""When the items of a queue were put, in the order in which the queue returns them.

*Rule.* A program may change the container of a queue directly, such as ``queue.queue.clear()``. At each put, compare
the number of times with the number of items, and forget all times if they differ.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sized
from typing import Any, Protocol, final

__all__ = ("FifoTimes", "ItemTimes", "LifoTimes", "NoTimes", "PriorityTimes")


class ItemTimes(Protocol):
    """The times of the items of one queue."""

    def push(self, item: Any, now: float) -> None:
        """Remember when ``item``, which is in the queue now, was put."""

    def pop(self, item: Any) -> float:
        """Return when ``item``, which has been taken, was put; 0.0 if that is not known."""
        ...


@final
class FifoTimes:
    """The times of a queue that returns the oldest item first."""

    __slots__ = ("_items", "_times")

    def __init__(self, items: Sized) -> None:
        self._items = items
        self._times: deque[float] = deque([0.0] * len(items))

    def push(self, item: Any, now: float) -> None:  # noqa: ARG002
        """Remember when an item was put."""
        times = self._times
        times.append(now)
        if len(times) != len(self._items):
            times.clear()
            times.extend([*[0.0] * (len(self._items) - 1), now])

    def pop(self, item: Any) -> float:  # noqa: ARG002
        """Return when the oldest item was put."""
        return self._times.popleft() if self._times else 0.0


@final
class LifoTimes:
    """The times of a queue that returns the newest item first."""

    __slots__ = ("_items", "_times")

    def __init__(self, items: Sized) -> None:
        self._items = items
        self._times: list[float] = [0.0] * len(items)

    def push(self, item: Any, now: float) -> None:  # noqa: ARG002
        """Remember when an item was put."""
        times = self._times
        times.append(now)
        if len(times) != len(self._items):
            times[:] = [*[0.0] * (len(self._items) - 1), now]

    def pop(self, item: Any) -> float:  # noqa: ARG002
        """Return when the newest item was put."""
        return self._times.pop() if self._times else 0.0


@final
class PriorityTimes:
    """The times of a queue that returns its items in their own order: by identity, as a queue holds what it has."""

    __slots__ = ("_count", "_items", "_times")

    def __init__(self, items: Sized) -> None:  # items from before have no times
        self._items = items
        self._times: dict[int, deque[float]] = {}
        self._count = 0

    def push(self, item: Any, now: float) -> None:
        """Remember when ``item`` was put."""
        if self._count >= len(self._items):
            self._times.clear()
            self._count = 0
        self._count += 1
        times = self._times.get(id(item))
        if times is None:
            self._times[id(item)] = deque((now,))
        else:
            times.append(now)

    def pop(self, item: Any) -> float:
        """Return when ``item`` was put; the first time, if it was put several times."""
        times = self._times.get(id(item))
        if times is None:
            return 0.0
        self._count -= 1
        if len(times) == 1:
            del self._times[id(item)]
        return times.popleft()


@final
class NoTimes:
    """No times: for a queue whose order is not known."""

    __slots__ = ()

    def push(self, item: Any, now: float) -> None:
        """Do nothing."""

    def pop(self, item: Any) -> float:  # noqa: ARG002
        """Return 0.0."""
        return 0.0
