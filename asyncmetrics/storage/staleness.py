"""Which children have not changed for a while: their time to live, judged at each reading and free in between."""

from __future__ import annotations

import time
import weakref
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Generic, Protocol, TypeVar, final

__all__ = ("Staleness",)


class _Sleeper(Protocol):
    labelvalues: tuple[str, ...]

    def numbers(self) -> Sequence[float]:
        """Return one consistent reading."""
        ...

    def details(self) -> Mapping[str, str]:
        """Return the labels besides the metric's."""
        ...


S = TypeVar("S", bound=_Sleeper)


def _fingerprint(child: _Sleeper) -> Hashable:
    return (*child.numbers(), *child.details().items())


@final
class Staleness(Generic[S]):
    """Remember when each child's numbers last changed.

    A stale child sleeps: it is held weakly, so it is freed unless somebody kept it, and wakes with its numbers when
    they change or its labels are asked for again.
    """

    __slots__ = ("_asleep", "_seen", "ttl")

    def __init__(self, ttl: float) -> None:
        self.ttl = ttl
        self._seen: dict[S, tuple[Hashable, float]] = {}
        self._asleep: dict[tuple[str, ...], tuple[weakref.ref[S], Hashable]] = {}

    def is_stale(self, child: S, now: float) -> bool:
        """Tell whether ``child`` has not changed for the time to live by the monotonic time ``now``."""
        found = _fingerprint(child)
        seen, since = self._seen.setdefault(child, (found, now))
        if seen != found:
            self._seen[child] = (found, now)
            return False
        return now - since >= self.ttl

    def changed(self, child: S) -> float:
        """Return the monotonic time at which a change of ``child`` was seen last."""
        return self._seen[child][1] if child in self._seen else time.monotonic()

    def is_asleep(self, key: tuple[str, ...]) -> bool:
        """Tell whether a stale child with these label values is held by somebody."""
        reference, _ = self._asleep.get(key, (None, None))
        return reference is not None and reference() is not None

    def sleeping(self) -> list[S]:
        """Return the stale children that somebody holds."""
        children = [reference() for reference, _ in list(self._asleep.values())]
        return [child for child in children if child is not None]

    def put_to_sleep(self, child: S) -> None:
        """Hold a stale child weakly from now on."""
        seen, _ = self._seen.pop(child, (None, 0.0))
        self._asleep[child.labelvalues] = (weakref.ref(child), seen)

    def wake(self, key: tuple[str, ...]) -> S | None:
        """Return the sleeping child with these label values, if it sleeps and somebody kept it."""
        reference, _ = self._asleep.pop(key, (None, None))
        return reference() if reference else None

    def awakened(self) -> Iterator[S]:
        """Yield the sleeping children whose numbers changed, and forget those that nobody kept."""
        for key, (reference, seen) in list(self._asleep.items()):
            child = reference()
            if child is None:
                self._asleep.pop(key, None)
            elif _fingerprint(child) != seen:
                self._asleep.pop(key, None)
                yield child

    def forget(self, key: tuple[str, ...], child: S | None) -> None:
        """Drop what is known of a removed child."""
        self._asleep.pop(key, None)
        if child is not None:
            self._seen.pop(child, None)
