"""The collectors of a registry and the names that belong to each, as one value that is replaced at once.

*Theory of operation.*

1. A `Registrations` never changes. `add`, `remove` and `describe` return another one, or raise.
2. `Latest` has a chain of versions, each with one value. Before a change, the last version has no successor.
3. The change makes a new value from the last one, and sets its version as the successor by ``dict.setdefault``. This
   one call decides: after it, the change has happened for all threads. An exception before it leaves no trace, and one
   after it takes nothing back.
4. If another thread, or a signal handler, was faster, ``setdefault`` returns its version. The change then begins again
   with that one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar, final

from asyncmetrics.errors import DuplicateMetricError, UnknownCollectorError
from asyncmetrics.registry.sources import Collector, Registration

__all__ = ("Latest", "Registrations")

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
_TARGET = "target_info"


@final
class _Layers(Generic[K, V]):
    """A dict that never changes: a large one, and a small one of the changes since, where None stands for no value.

    A changed copy takes about the square root of the size. With one dict, 10,000 registrations would take seconds.
    """

    __slots__ = ("_base", "_changes")

    def __init__(self, base: dict[K, V], changes: dict[K, V | None]) -> None:
        self._base = base
        self._changes = changes

    def get(self, key: K) -> V | None:
        """Return the value of ``key``, or None."""
        return self._changes[key] if key in self._changes else self._base.get(key)

    def list_all(self) -> dict[K, V]:
        """Return all keys with their values."""
        return {key: value for key, value in {**self._base, **self._changes}.items() if value is not None}

    def change(self, changes: Mapping[K, V | None]) -> _Layers[K, V]:
        """Return a copy with other values for some keys."""
        layers = _Layers(self._base, {**self._changes, **changes})
        return layers if len(layers._changes) ** 2 <= len(self._base) else _Layers(layers.list_all(), {})


@final
class Registrations:
    """The registered collectors, the holder of each name, and the labels of the target."""

    __slots__ = ("_collectors", "_holders", "target_info")

    def __init__(
        self,
        collectors: _Layers[Collector, Registration] | None = None,
        holders: _Layers[str, object] | None = None,
        target_info: Mapping[str, str] | None = None,
    ) -> None:
        self._collectors: _Layers[Collector, Registration] = collectors or _Layers({}, {})
        self._holders: _Layers[str, object] = holders or _Layers({}, {})
        self.target_info = target_info

    def list_collectors(self) -> dict[Collector, Registration]:
        """Return the collectors with their registrations."""
        return self._collectors.list_all()

    def add(self, collector: Collector, registration: Registration) -> Registrations:
        """Register a collector. Raises `DuplicateMetricError` if it is registered or one of its names is taken."""
        names = registration.names
        if self._collectors.get(collector) is not None:
            raise DuplicateMetricError(set(names), collector, collector)
        self._check_free(names, collector)
        holders = self._holders.change(dict.fromkeys(names, collector))
        return Registrations(self._collectors.change({collector: registration}), holders, self.target_info)

    def remove(self, collector: Collector) -> Registrations:
        """Unregister a collector. Raises `UnknownCollectorError` if it is not registered."""
        registration = self._collectors.get(collector)
        if registration is None:
            raise UnknownCollectorError(collector)
        holders = self._holders.change(dict.fromkeys(registration.names))
        return Registrations(self._collectors.change({collector: None}), holders, self.target_info)

    def describe(self, registry: object, labels: Mapping[str, str] | None) -> Registrations:
        """Give the target other labels; ``registry`` holds its name as long as there are some."""
        holders = self._holders
        if labels and not self.target_info:
            self._check_free({_TARGET}, registry)
            holders = holders.change({_TARGET: registry})
        elif self.target_info and not labels:
            holders = holders.change({_TARGET: None})
        return Registrations(self._collectors, holders, dict(labels) if labels else None)

    def _check_free(self, names: Iterable[str], owner: object) -> None:
        holders = {name: holder for name in names if (holder := self._holders.get(name)) is not None}
        if holders:
            raise DuplicateMetricError(set(holders), holders[min(holders)], owner)


@final
class _Version(Generic[T]):
    __slots__ = ("successors", "value")

    def __init__(self, value: T) -> None:
        self.value = value
        self.successors: dict[None, _Version[T]] = {}  # at most one: `setdefault` lets only the first one in


@final
class Latest(Generic[T]):
    """The latest value, which any thread, signal handler or finaliser may replace without a lock."""

    __slots__ = ("_version",)

    def __init__(self, value: T) -> None:
        self._version = _Version(value)

    def get(self) -> T:
        """Return the latest value."""
        return self._find_last().value

    def _find_last(self) -> _Version[T]:
        version = self._version
        while (successor := version.successors.get(None)) is not None:
            version = successor
        self._version = version  # frees those before; another thread may store an older one, which leads here as well
        return version

    def change(self, make: Callable[[T], T]) -> None:
        """Replace the latest value by what ``make`` returns for it. ``make`` may be called several times."""
        is_done = False
        while not is_done:
            last = self._find_last()
            new = _Version(make(last.value))
            is_done = last.successors.setdefault(None, new) is new
        self._find_last()
