"""Which children have not changed for a while: their time to live, judged at each reading and free in between.

*Rules.* One reading at a time judges; another that comes in between takes the children as they are. No step of a
reading grows with the number of children.

*Theory of operation.* One dict of a million children takes 67 ms for its last growth, so there are many small ones:
what was seen of a child is kept by the segment that the child is in, and who sleeps by some bits of the label values'
hash. Each change is one call of one dict, which neither a thread nor a signal handler can interrupt.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, final

__all__ = ("Expiry",)


_GROUPS = 256
_JUDGED = 256  # sleepers that are looked at in one step

Key: TypeAlias = tuple[str, ...]


class _Sleeper(Protocol):
    labelvalues: Key
    segment: list[Any]

    def read_numbers(self) -> Sequence[float]:
        """Return one consistent reading."""
        ...

    def read_extra_labels(self) -> Mapping[str, str]:
        """Return the labels besides the metric's."""
        ...


S = TypeVar("S", bound=_Sleeper)


def _fingerprint(child: _Sleeper) -> Hashable:
    return (*child.read_numbers(), *child.read_extra_labels().items())


class _Sleep(Generic[S]):
    """A child that sleeps, held until the next reading: somebody may have found it and be about to count."""

    __slots__ = ("held", "key", "reference", "seen")

    def __init__(self, child: S, seen: Hashable) -> None:
        self.held: S | None = child
        self.key = child.labelvalues
        self.reference = weakref.ref(child)
        self.seen = seen


@final
class Expiry(Generic[S]):
    """Remember when each child's numbers last changed.

    A stale child sleeps: from the next reading on it is held weakly, so it is freed unless somebody kept it, and wakes
    with its numbers when they change or its labels are asked for again.
    """

    __slots__ = ("_asleep", "_at_work", "_process", "_seen", "ttl")

    def __init__(self, ttl: float) -> None:
        self.ttl = ttl
        self._seen: dict[int, dict[S, tuple[Hashable, float]]] = {}  # by the segment's id
        self._asleep: dict[int, dict[Key, _Sleep[S]]] = {}  # by the group
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
        known = self._seen.setdefault(id(child.segment), {})
        seen, since = known.setdefault(child, (found, now))
        if seen != found:
            known[child] = (found, now)
            return False
        return now - since >= self.ttl

    def changed(self, child: S) -> float:
        """Return the monotonic time at which a change of ``child`` was seen last."""
        found = self._seen.get(id(child.segment), {}).get(child)
        return time.monotonic() if found is None else found[1]

    def _forget_seen(self, child: S) -> Hashable:
        """Forget what was seen of a child, and return it."""
        which = id(child.segment)
        known = self._seen.get(which, {})
        seen, _ = known.pop(child, (None, 0.0))
        if not known:
            self._seen.pop(which, None)
        return seen

    def _group(self, key: Key) -> dict[Key, _Sleep[S]]:
        return self._asleep.setdefault(hash(key) % _GROUPS, {})

    def is_asleep(self, key: Key) -> bool:
        """Return whether a stale child with these label values is held by somebody."""
        sleep = self._group(key).get(key)
        return sleep is not None and sleep.reference() is not None

    def sleeping(self) -> list[S]:
        """Return the stale children that somebody holds."""
        sleeps = [sleep for group in list(self._asleep.values()) for sleep in list(group.values())]
        children = [sleep.reference() for sleep in sleeps]
        return [child for child in children if child is not None]

    def put_to_sleep(self, child: S) -> None:
        """Let a stale child sleep from now on."""
        self._group(child.labelvalues)[child.labelvalues] = _Sleep(child, self._forget_seen(child))

    def wake(self, key: tuple[str, ...]) -> S | None:
        """Return the sleeping child with these label values, if it sleeps and somebody kept it."""
        sleep = self._group(key).pop(key, None)
        if sleep is None:
            return None
        if sleep.held is not None and _fingerprint(sleep.held) == sleep.seen:
            sleep.held = None
        return sleep.reference()

    def sleepers(self) -> Iterator[list[_Sleep[S]]]:
        """Yield the sleeping children, a few at a time, for `awakened`."""
        for group in list(self._asleep.values()):
            sleeps = list(group.values())
            yield from (sleeps[start : start + _JUDGED] for start in range(0, len(sleeps), _JUDGED))

    def awakened(self, sleeps: list[_Sleep[S]]) -> Iterator[S]:
        """Yield the sleeping children whose numbers changed, and forget those that nobody kept."""
        for sleep in sleeps:
            child, group = sleep.reference(), self._group(sleep.key)
            if child is not None and _fingerprint(child) == sleep.seen:
                sleep.held = None
            elif group.get(sleep.key) is sleep and group.pop(sleep.key, None) is sleep and child is not None:
                yield child  # unless somebody has just woken it

    def forget(self, key: Key, child: S | None) -> None:
        """Drop what is known of a removed child."""
        self._group(key).pop(key, None)
        if child is not None:
            self._forget_seen(child)
