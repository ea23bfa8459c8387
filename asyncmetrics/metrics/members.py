"""`Members`: objects of a program that are exposed under names, such as pools and queues, until they are gone.

*Theory of operation.*

1. `Members.add` names an object, and keeps a weak reference to it where it allows one.
2. A scrape calls `Members.read`, which reads the numbers of each object.
3. When an object is removed or collected by the garbage collector, and no other one has its name, ``forget`` is called
   with the name: the series of this name have to disappear.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import count
from threading import RLock
from typing import Any, Generic, NamedTuple, TypeVar, final

from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.registry import CollectorRegistry
from asyncmetrics.registry.self_metrics import get_self_metrics

__all__ = ("Member", "Members")

N = TypeVar("N")  # the numbers of one object


class Member:
    """An object that is exposed: its name, and whether it still is. If not, nothing may bring its series back."""

    __slots__ = ("is_open", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_open = True


M = TypeVar("M", bound=Member)


class _Entry(NamedTuple):
    get: Callable[[], Any]
    read: Callable[[Any], Any]
    member: Any


@final
class Members(Generic[M, N]):
    """The objects whose series are in one registry.

    ``make`` returns the member with a name, and ``forget`` removes the series with a name. A failure to read an object
    is counted as one of ``where``.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        where: str,
        make: Callable[[str], M],
        forget: Callable[[str], object],
    ) -> None:
        self._registry = registry
        self._where = where
        self._make = make
        self._forget = forget
        self._entries: dict[int, _Entry] = {}
        self._names: dict[str, int] = {}  # each with the object that had it first
        self._lock = RLock()  # a finaliser may remove an object while its thread adds another one

    def add(self, target: object, kind: str, read: Callable[[Any], N], name: str = "") -> M:
        """Expose ``target``, and return its member; an object that is exposed already stays as it is.

        ``read`` takes the object, and must not block. Without a ``name``, the object is called by its ``kind`` and a
        number. One that allows no weak references is kept until `remove`.
        """
        with self._lock:
            entry = self._entries.get(id(target))
            if entry is not None:
                known: M = entry.member
                return known
            key = id(target)
            if name:
                self._names.setdefault(name, key)
            else:
                # The lowest number that is free: a program that makes a client for each call has few names.
                names = (f"{kind}-{number}" for number in count(1))
                name = next(one for one in names if self._names.setdefault(one, key) == key)
            member = self._make(name)
            self._entries[key] = _Entry(_refer(target, partial(self._remove, key)), read, member)
            return member

    def find(self, target: object) -> M | None:
        """Return the member of an object that is exposed."""
        entry = self._entries.get(id(target))
        return None if entry is None else entry.member

    def remove(self, target: object) -> None:
        """Stop exposing ``target``, and forget its name unless another object has it."""
        self._remove(id(target))

    def _remove(self, key: int) -> None:
        with self._lock:
            entry = self._entries.pop(key, None)
            if entry is None:
                return
            entry.member.is_open = False
            name = entry.member.name
            if any(other.member.name == name for other in self._entries.values()):
                return
            self._names.pop(name, None)
            self._forget(name)

    def read(self) -> Iterator[tuple[str, N]]:
        """Yield the name and the numbers of each object; one that cannot be read at this moment is left out."""
        for entry in list(self._entries.values()):
            try:
                target = entry.get()
                if target is not None:
                    yield entry.member.name, entry.read(target)
            except Exception as error:  # noqa: BLE001  # an object that changes or closes at this moment
                pass_interruption(error)
                get_self_metrics(self._registry).count_internal_error(self._where)

    def add_up(self, pick: Callable[[N], Mapping[tuple[str, ...], float]]) -> Mapping[tuple[object, ...], float]:
        """Return the sums of what ``pick`` returns, by the name of the object and the label values that it returns."""
        sums: dict[tuple[object, ...], float] = {}
        for name, numbers in self.read():
            for labels, number in pick(numbers).items():
                key = (name, *labels)
                sums[key] = sums.get(key, 0) + number
        return sums


def _refer(target: object, remove: Callable[[], None]) -> Callable[[], Any]:
    """Return a weak reference; for an object that allows none, a function that returns it."""

    def forget(_: object, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if not is_finalizing():  # else the modules are being taken apart, and the series of the process may stay
            remove()

    try:
        return weakref.ref(target, forget)
    except TypeError:
        return lambda: target
