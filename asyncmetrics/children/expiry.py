"""The time to live of children: find those whose numbers have not changed for a while, and park them.

*Rules.* Only one reading at a time expires children; another reading at the same time takes all children
of the table. No step of a reading grows with the number of children. Between readings, expiry costs nothing.

*Theory of operation.* A child is either in its table or parked.

1. A reading passes each child of the table to `Expiry.is_stale`. Before, ``_seen`` has the numbers of the last reading,
   or nothing. After, it has the present numbers and the time of the first reading that saw them.
2. The reading parks a child whose numbers have not changed for the time to live. Before, the child is in its table and
   in ``_seen``. After, it is only in ``_parked`` and no longer exposed. A strong reference keeps it until the next
   reading, because another thread may have found it just before and be about to change it.
3. The next reading looks at each parked child (`Expiry.unpark_changed`). A child whose numbers have changed returns to
   its table. Any other child loses the strong reference: from now on it lives only as long as the application holds it.
4. A use of the same label values calls `Expiry.unpark`. Before, the child is parked. After, it is back in its table
   with its numbers if it is alive; otherwise the table creates a new child, which starts at zero.

One dict of a million children takes 67 ms for its last growth, so there are many small ones: ``_seen`` has a dict for
each segment of the table, and ``_parked`` has 256, chosen by the hash of the label values. Each change is one call of
one dict, which neither a thread nor a signal handler can interrupt.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Generic, Protocol, TypeAlias, TypeVar, final

__all__ = ("Expiry",)


_PARKED_DICTS = 256  # a million parked children are then 4,000 a dict
_PARKED_STEP = 256  # parked children that one step looks at; as many as a segment of a table has

Key: TypeAlias = tuple[str, ...]


class _Expirable(Protocol):
    labelvalues: Key

    @property
    def segment(self) -> object:
        """The segment of the table that the child is in."""
        ...

    def read_numbers(self) -> Sequence[float]:
        """Return one consistent reading."""
        ...

    def read_extra_labels(self) -> Mapping[str, str]:
        """Return the labels that this child has besides its metric's."""
        ...


S = TypeVar("S", bound=_Expirable)


def _make_fingerprint(child: _Expirable) -> Hashable:
    return (*child.read_numbers(), *child.read_extra_labels().items())


class _Parked(Generic[S]):
    """A parked child; ``held`` is the strong reference of step 2, and None from step 3 on."""

    __slots__ = ("held", "key", "reference", "seen")

    def __init__(self, child: S, seen: Hashable) -> None:
        self.held: S | None = child
        self.key = child.labelvalues
        self.reference = weakref.ref(child)
        self.seen = seen


@final
class Expiry(Generic[S]):
    """Remember when the numbers of each child last changed, and keep the children that are parked."""

    __slots__ = ("_expiring", "_parked", "_process", "_seen", "ttl")

    def __init__(self, ttl: float) -> None:
        self.ttl = ttl
        self._seen: dict[int, dict[S, tuple[Hashable, float]]] = {}  # by the id of the segment
        self._parked: dict[int, dict[Key, _Parked[S]]] = {}  # by some bits of the key's hash
        self._expiring, self._process = Lock(), os.getpid()

    @contextmanager
    def try_lock(self) -> Iterator[bool]:
        """Try to become the only reading that expires children; yield whether this one is it."""
        if self._process != os.getpid():  # a fork: a thread that held the lock does not exist in this process
            self._expiring, self._process = Lock(), os.getpid()
        is_only_one = self._expiring.acquire(blocking=False)
        try:
            yield is_only_one
        finally:
            if is_only_one:
                self._expiring.release()

    def is_stale(self, child: S, now: float) -> bool:
        """Return whether ``child`` has not changed for the time to live, at the monotonic time ``now``."""
        present = _make_fingerprint(child)
        known = self._seen.setdefault(id(child.segment), {})
        seen, since = known.setdefault(child, (present, now))
        if seen != present:
            known[child] = (present, now)
            return False
        return now - since >= self.ttl

    def get_changed_at(self, child: S) -> float | None:
        """Return the monotonic time of the reading that last saw a change of ``child``.

        None if no reading has seen it yet, or if another reading has just parked it.
        """
        entry = self._seen.get(id(child.segment), {}).get(child)
        return None if entry is None else entry[1]

    def _forget_seen(self, child: S) -> Hashable:
        """Forget the numbers of ``child``, and return them."""
        segment = id(child.segment)
        known = self._seen.get(segment, {})
        seen, _ = known.pop(child, (None, 0.0))
        if not known:
            self._seen.pop(segment, None)
        return seen

    def _get_parked(self, key: Key) -> dict[Key, _Parked[S]]:
        return self._parked.setdefault(hash(key) % _PARKED_DICTS, {})

    def is_parked(self, key: Key) -> bool:
        """Return whether a child with these label values is parked and alive."""
        parked = self._get_parked(key).get(key)
        return parked is not None and parked.reference() is not None

    def list_parked(self) -> list[S]:
        """Return the parked children that are alive."""
        entries = [parked for some in list(self._parked.values()) for parked in list(some.values())]
        children = [parked.reference() for parked in entries]
        return [child for child in children if child is not None]

    def park(self, child: S) -> None:
        """Park a stale child, which its table removes."""
        self._get_parked(child.labelvalues)[child.labelvalues] = _Parked(child, self._forget_seen(child))

    def unpark(self, key: Key) -> S | None:
        """Return the parked child with these label values if it is alive; it is parked no longer."""
        parked = self._get_parked(key).pop(key, None)
        if parked is None:
            return None
        if parked.held is not None and _make_fingerprint(parked.held) == parked.seen:
            parked.held = None  # it returns None below, unless the application holds the child
        return parked.reference()

    def read_parked(self) -> Iterator[list[_Parked[S]]]:
        """Yield the parked children in short lists, for `unpark_changed`."""
        for some in list(self._parked.values()):
            entries = list(some.values())
            yield from (entries[start : start + _PARKED_STEP] for start in range(0, len(entries), _PARKED_STEP))

    def unpark_changed(self, entries: list[_Parked[S]]) -> Iterator[S]:
        """Yield the parked children whose numbers have changed, for their table, and forget those that are freed."""
        for parked in entries:
            child, others = parked.reference(), self._get_parked(parked.key)
            if child is not None and _make_fingerprint(child) == parked.seen:
                parked.held = None
            # The second look at the dict is the pop: a use of the labels may unpark the child at any moment.
            elif others.get(parked.key) is parked and others.pop(parked.key, None) is parked and child is not None:
                yield child

    def forget(self, key: Key, child: S | None) -> None:
        """Forget a child that is removed, in its table or parked."""
        self._get_parked(key).pop(key, None)
        if child is not None:
            self._forget_seen(child)
