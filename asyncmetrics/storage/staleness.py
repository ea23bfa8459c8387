"""Which children have not changed for a while: their time to live, judged at each reading and free in between.

*Rules.* One reading at a time judges; another that comes in between takes the children as they are.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
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


class _Sleep(Generic[S]):
    """A child that sleeps, held until the next reading: somebody may have found it and be about to count."""

    __slots__ = ("held", "reference", "seen")

    def __init__(self, child: S, seen: Hashable) -> None:
        self.held: S | None = child
        self.reference = weakref.ref(child)
        self.seen = seen


@final
class Staleness(Generic[S]):
    """Remember when each child's numbers last changed.

    A stale child sleeps: from the next reading on it is held weakly, so it is freed unless somebody kept it, and wakes
    with its numbers when they change or its labels are asked for again.
    """

    __slots__ = ("_asleep", "_at_work", "_process", "_seen", "ttl")

    def __init__(self, ttl: float) -> None:
        self.ttl = ttl
        self._seen: dict[S, tuple[Hashable, float]] = {}
        self._asleep: dict[tuple[str, ...], _Sleep[S]] = {}
        self._at_work, self._process = Lock(), os.getpid()

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Tell whether nobody else judges meanwhile; who is told so may judge."""
        if self._process != os.getpid():  # whoever was at work is not in this fork
            self._at_work, self._process = Lock(), os.getpid()
        allowed = self._at_work.acquire(blocking=False)
        try:
            yield allowed
        finally:
            if allowed:
                self._at_work.release()

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
        sleep = self._asleep.get(key)
        return sleep is not None and sleep.reference() is not None

    def sleeping(self) -> list[S]:
        """Return the stale children that somebody holds."""
        children = [sleep.reference() for sleep in list(self._asleep.values())]
        return [child for child in children if child is not None]

    def put_to_sleep(self, child: S) -> None:
        """Let a stale child sleep from now on."""
        seen, _ = self._seen.pop(child, (None, 0.0))
        self._asleep[child.labelvalues] = _Sleep(child, seen)

    def wake(self, key: tuple[str, ...]) -> S | None:
        """Return the sleeping child with these label values, if it sleeps and somebody kept it."""
        sleep = self._asleep.pop(key, None)
        if sleep is None:
            return None
        if sleep.held is not None and _fingerprint(sleep.held) == sleep.seen:
            sleep.held = None
        return sleep.reference()

    def awakened(self) -> Iterator[S]:
        """Yield the sleeping children whose numbers changed, and forget those that nobody kept."""
        for key, sleep in list(self._asleep.items()):
            child = sleep.reference()
            if child is not None and _fingerprint(child) == sleep.seen:
                sleep.held = None
            elif self._asleep.pop(key, None) is sleep and child is not None:  # or somebody has just woken it
                yield child

    def forget(self, key: tuple[str, ...], child: S | None) -> None:
        """Drop what is known of a removed child."""
        self._asleep.pop(key, None)
        if child is not None:
            self._seen.pop(child, None)
