"""`Listing`, the children of one table in the order of their creation, which a reading copies in slices.

*Rules.*

- Take no lock, and wait for nothing: any thread, signal handler or finaliser may interrupt each method, and may raise.
- Begin a `Change` of a segment before you write to it, and before a child of it leaves the dict.
- Check several children by one call of C functions. Neither a thread nor a signal handler interrupts that.

*Theory of operation.* The dict of the table decides which children exist. The listing has them in segments of up to 256
positions, and a few more children: those that are being inserted, and those that an exception left behind. Changes of
segments are in ``_changing`` until the variable that holds the `Change` ends, in any way. Each segment goes through
these states:

1. *Growing*: `Listing.claim` gives out its positions, each once. No segment follows this one.
2. *Sealed*: all positions are claimed, so the next claim makes the segment that follows. Only insertions that are still
   in ``_changing`` may write a child to it.
3. *Settled*: a reading has found that the dict has all its children and that nothing changes it. ``settled`` has the
   ``version`` of that moment: as long as it is the present one, nothing has changed. Growing segments may be settled.
4. *Dropped*: all its positions were claimed, and all its children were removed.

A reading (`Listing.read`) goes through these steps:

1. List the segments. Segments that are made later are left to the next reading.
2. Copy the segments that may still grow: the last one, and those in ``_changing``. Ask the dict about all their
   children at once, so that of two children with the same label values only one is read.
3. Copy the other segments when their turn comes. If one is not settled, ask the dict about its children. Vacate the
   position of a child that the dict does not have, unless the segment is being changed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import chain, compress, count, pairwise
from operator import and_, attrgetter, is_
from typing import Any, Generic, TypeVar, cast, final
from weakref import ReferenceType, ref

__all__ = ("Change", "Key", "Listing", "Segment", "pop_children", "pop_unheld_children")

Key = tuple[str, ...]
C = TypeVar("C", bound="Any")

# A reading copies a segment by one call (0.5 µs) and yields it as one step. Writing a segment of counters takes
# 0.05 ms, one of histograms with the default buckets 1.3 ms.
_SEGMENT = 256
_FIRST_SEGMENT = 4  # most metrics have few children; each following segment is four times as large, up to `_SEGMENT`
_get_key: Callable[[Any], Key] = attrgetter("labelvalues")


@final
class Change:
    """A change of a segment that is under way: it lasts for as long as a local variable refers to this."""

    __slots__ = ("__weakref__",)


@final
class Segment(Generic[C]):
    """A part of a listing: a position for each of ``size`` children, None where there is none.

    ``owner`` is the child table.
    """

    __slots__ = ("children", "following", "number", "owner", "positions", "settled", "vacated", "version")

    def __init__(self, owner: object, number: int, size: int) -> None:
        self.owner = owner
        self.number = number
        self.children: list[C | None] = [None] * size
        self.positions = count()
        self.following: dict[str, Segment[C]] = {}  # at most one: `dict.setdefault` decides between two threads
        self.version = object()
        self.settled: tuple[object, bool] = (None, False)  # the version, and whether each position has a child
        self.vacated = 0  # a hint: some positions may be counted twice


@final
class Listing(Generic[C]):
    """The children of a table in segments. ``by_values`` is the dict of the table, ``owner`` the table."""

    __slots__ = ("_by_values", "_changing", "_end_change", "_nowhere", "_segments", "_tail")

    def __init__(self, owner: object, by_values: dict[Key, C]) -> None:
        self._by_values = by_values
        self._tail: Segment[C] = Segment(owner, 0, _FIRST_SEGMENT)  # or, while one is added, a segment before it
        self._segments: dict[int, Segment[C]] = {0: self._tail}
        self._nowhere: Segment[C] = Segment(owner, -1, 0)  # of removed children
        self._changing: dict[ReferenceType[Change], Segment[C]] = {}
        self._end_change = self._changing.pop  # a C function: no exception can stop it

    def change(self, segment: Segment[C]) -> Change:
        """Begin a change of a segment."""
        change = Change()
        self._changing[ref(change, self._end_change)] = segment
        segment.version = object()
        return change

    def claim(self) -> tuple[Change, Segment[C], int]:
        """Begin the insertion of a child: return the change, and a segment and position that no other one has got."""
        segment = self._tail
        while True:
            change = self.change(segment)
            position = next(segment.positions)
            if position < len(segment.children):
                return change, segment, position
            segment = self._follow(segment)

    def _follow(self, segment: Segment[C]) -> Segment[C]:
        """Return the segment after a sealed one; the first call makes it."""
        following = segment.following.get("next")
        if following is None:
            new: Segment[C] = Segment(segment.owner, segment.number + 1, min(_SEGMENT, 4 * len(segment.children)))
            following = segment.following.setdefault("next", new)
        if following.number > self._tail.number:
            self._segments[following.number] = following
            self._tail = following
        return following

    def vacate(self, child: C) -> None:
        """Remove a child that the dict does not have."""
        segment = child.segment
        if segment is self._nowhere:
            return
        segment.children[child.position] = None
        segment.vacated = segment.vacated + 1
        if segment.vacated >= len(segment.children):
            self._drop(segment)
        child.segment = self._nowhere  # a removed child must not keep the segments that follow its own

    def _drop(self, segment: Segment[C]) -> None:
        """Drop a segment if it is empty, sealed, and nothing changes it."""
        if segment.following and not any(segment.children) and segment not in self._changing.values():
            self._segments.pop(segment.number, None)

    def read(self) -> Iterator[list[C]]:
        """Yield the children in slices, each a new list; a child that is inserted later is left to the next reading."""
        segments = self._list_segments()
        tail = self._tail
        while tail.following:
            tail = tail.following["next"]
        growing = list(dict.fromkeys([tail, *self._changing.values()]))
        copy = self._copy_settled(tail) if len(growing) == 1 else None
        batches = self._ask(growing) if copy is None else [copy]
        return self._read(segments, dict(zip(growing, batches, strict=True)))

    def _list_segments(self) -> list[Segment[C]]:
        """Return all segments; let each be followed by the next one, and no longer by one that was dropped."""
        segments = list(self._segments.values())
        for segment, following in pairwise(segments):
            if segment.number < following.number and segment.following.get("next") is not following:
                segment.following["next"] = following
        return segments

    def _read(self, segments: list[Segment[C]], growing: dict[Segment[C], list[C]]) -> Iterator[list[C]]:
        for segment in segments:
            batch = growing.get(segment)
            if batch is None:
                batch = self._copy_settled(segment)
            if batch is None:
                (batch,) = self._ask([segment])
            if batch:
                yield batch
            else:
                self._drop(segment)

    def tidy(self) -> Iterator[tuple[()]]:
        """Remove the children that exceptions have left, where nothing reads the listing; each item is one step."""
        for segment in self._list_segments():
            if segment.settled[0] is not segment.version:
                self._ask([segment])
                yield ()

    def _copy_settled(self, segment: Segment[C]) -> list[C] | None:
        """Return the children of a segment that is settled, None for any other."""
        settled, is_whole = segment.settled  # before the copy, and the version after it
        children = segment.children[:]
        if settled is not segment.version:
            return None
        return cast("list[C]", children) if is_whole else list(filter(None, children))

    def _ask(self, segments: list[Segment[C]]) -> list[list[C]]:
        """Return the children of each segment that the dict has at one moment; settle or tidy the segments."""
        versions = [segment.version for segment in segments]
        changing = set(self._changing.values())  # after the versions and before the copies: see `change`
        copies: list[list[C]] = [list(filter(None, segment.children)) for segment in segments]
        children = list(chain.from_iterable(copies))
        present = list(compress(children, map(is_, map(self._by_values.get, map(_get_key, children)), children)))
        batches = copies
        if len(present) < len(children):
            ids = set(map(id, present))
            batches = [[child for child in copy if id(child) in ids] for copy in copies]
        for segment, version, copy, batch in zip(segments, versions, copies, batches, strict=True):
            if segment in changing:
                continue
            if len(copy) == len(batch):
                segment.settled = (version, len(copy) == len(segment.children))
            elif segment.version is version:  # a change that began after `changing` may still set its child in the dict
                for child in set(copy).difference(batch):
                    self.vacate(child)
        return batches


def pop_children(by_values: dict[Key, C], children: list[C]) -> list[C]:
    """Remove from the dict those of ``children`` that it has, and return them."""
    # One call of C functions: nothing can replace a child between the look-up and the pop.
    present = map(is_, map(by_values.get, map(_get_key, children)), children)
    return list(map(by_values.pop, compress(map(_get_key, children), present)))


def pop_unheld_children(
    by_values: dict[Key, C], children: list[C], unchanged: Iterator[bool], removed: list[C]
) -> None:
    """Move from the dict to ``removed`` those of ``children`` that are unchanged and that nothing else refers to.

    The list ``children`` may refer to them, and no other list. ``unchanged`` runs no Python code.
    """
    if not _COUNTS_ARE_EXACT:
        return
    # As above: nothing can find or change a child between the count of its references and the pop.
    present = map(is_, map(by_values.get, map(_get_key, children)), children)
    unheld = map(_UNHELD.__eq__, map(sys.getrefcount, children))
    # In this order: what ``unchanged`` allocates may start a garbage collection, whose finalisers may find a child.
    unused = map(and_, unchanged, map(and_, present, unheld))
    removed.extend(map(by_values.pop, compress(map(_get_key, children), unused)))


def _count_unheld() -> int:
    """Return the references to an object that a dict and two lists have, as `pop_unheld_children` counts them."""
    children = [Change()]
    others = {"by_values": children[0]}, children[:]
    (references,) = map(sys.getrefcount, children)
    del others
    return references


# Without a GIL, other threads change counts of references without being noticed, so no child is freed.
_COUNTS_ARE_EXACT = hasattr(sys, "getrefcount") and getattr(sys, "_is_gil_enabled", lambda: True)()
_UNHELD = _count_unheld() if _COUNTS_ARE_EXACT else 0
