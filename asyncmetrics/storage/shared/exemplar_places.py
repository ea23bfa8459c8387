"""The exemplars of one metric's children, as this worker shows them to the others.

*Rules.* `ExemplarPlaces.share` is called where a number changes: it neither waits nor raises. Write to a place only for
a child that is in the table and attached. Never let the cells of an exemplar cost a child its own cells.

*Theory of operation.* Each exemplar of a child has a *place*: the index of its bucket, 0 for a counter, and the key of
its power of two for a native histogram without classic buckets. Its cells are a series of the part ``exemplars`` of the
metric (`asyncmetrics.storage.shared.files.definition`). The key of this series is that of the child and a number: the
place or, without classic buckets, a remainder of it, so that a child has `_MAX_NUMBERS` of them at most. The states of
these cells:

1. *Missing*: only the child has the exemplar, as it has each one. Labels that fit no cells
   (`asyncmetrics.storage.shared.files.exemplar_cells`) stay in this state.
2. *Queued*: `ExemplarPlaces.share` has queued the work of making cells. Meanwhile the child may get a newer exemplar.
3. *Made*: the work has published the series with the child's exemplar. `ExemplarPlaces.share` writes each further one
   to the cells, without a system call. After each write, it looks for a newer one, which another thread may have
   written before.
4. *Forgotten*: the series of the child was removed, and those of its parts with it, or the process has lost its slot or
   was forked: state 1. If the child is attached again, its exemplars are shared again.

The exemplars of a dead worker stay in the cells. The worker that takes over the slot replaces them one by one.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Mapping
from functools import partial
from typing import cast, final

from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.samples import Exemplar
from asyncmetrics.storage.shared.attachment import SharedChild, is_attached
from asyncmetrics.storage.shared.files.arena import Arena
from asyncmetrics.storage.shared.files.arena_family import Family
from asyncmetrics.storage.shared.files.cells import Location
from asyncmetrics.storage.shared.files.definition import EXEMPLARS
from asyncmetrics.storage.shared.files.exemplar_cells import EXEMPLAR_PRESENCE, get_time, pack_exemplar
from asyncmetrics.storage.shared.files.keys import Key, pack_key
from asyncmetrics.storage.shared.files.layout import NEVER_SET
from asyncmetrics.storage.shared.worker import Work, Worker

__all__ = ("ExemplarPlaces",)

_MAX_NUMBERS = 16  # more than a native histogram without classic buckets exposes
_PAUSE_SECONDS = 1.0  # between two attempts to make places when there is no room
_NONE = array("d", bytes(8 * EXEMPLAR_PRESENCE))


@final
class ExemplarPlaces:
    """Where the exemplars of a metric's children are in this worker's slot; ``is_used`` is whether any has had one.

    ``by_values`` has the children, each with ``buckets`` classic buckets. ``find_family`` returns the metric's family
    in the arena if this worker's slot has it; it is called through `Worker.do`.
    """

    __slots__ = ("_by_values", "_find_family", "_limit", "_locations", "_queued", "_retry_at", "_worker", "is_used")

    def __init__(
        self,
        worker: Worker,
        by_values: Mapping[Key, SharedChild],
        buckets: int,
        find_family: Callable[[Arena], Family | None],
    ) -> None:
        self._worker = worker
        self._limit = max(buckets, _MAX_NUMBERS)
        self._by_values = by_values
        self._find_family = find_family
        self.forget_all()

    def forget_all(self) -> None:
        """Forget all places, because the children have no cells any more."""
        self.is_used = False
        self._locations: dict[Key, dict[int, Location]] = {}
        self._queued: dict[tuple[Key, int], Work] = {}
        self._retry_at = 0.0

    def forget(self, key: Key) -> None:
        """Forget the places of a series that was removed."""
        self._locations.pop(key, None)

    def share(self, child: SharedChild, place: int, exemplar: Exemplar) -> None:
        """Show the other workers an exemplar that ``child`` has from now on, if cells can hold it."""
        self.is_used = True
        key = child.labelvalues
        if self._by_values.get(key) is not child or not is_attached(child):  # `share_all` does it, or nothing
            return
        cells, number = pack_exemplar(pack_key(key), place, exemplar), place % self._limit
        if cells is None:
            return
        location = self._locations.get(key, {}).get(number)
        if location is None:
            self._make_soon(key, number)
            return
        _write(location, cells)
        if self._by_values.get(key) is not child or child.read_placed_exemplars().get(place) is not exemplar:
            self._write_newest(key, number, location)  # another thread may have written it before

    def _make_soon(self, key: Key, number: int) -> None:
        queued = self._queued.get((key, number))
        if queued is None or not queued.is_queued:
            self._queued[key, number] = self._worker.queue(partial(self._make, key, number))
        self._worker.work()

    def share_each(self, child: SharedChild) -> None:
        """Do as `share` for each exemplar of ``child``."""
        for place, exemplar in child.read_placed_exemplars().items():
            self.share(child, place, exemplar)

    def share_all(self, child: SharedChild) -> None:
        """Show all exemplars of ``child``, which was just attached; call it through `Worker.do`."""
        for place in child.read_placed_exemplars():
            self.is_used = True
            self._make(child.labelvalues, place % self._limit)

    def _make(self, key: Key, number: int) -> None:
        """Make cells for an exemplar that a child has; call it through `Worker.do`."""
        self._queued.pop((key, number), None)
        arena = self._worker.arena
        if arena is None or time.monotonic() < self._retry_at:
            return
        try:
            self._publish(arena, key, number)
        except OSError as error:
            pass_interruption(error)
            self._retry_at = time.monotonic() + _PAUSE_SECONDS
            arena.count_dropped()

    def _publish(self, arena: Arena, key: Key, number: int) -> None:
        family, cells = self._find_family(arena), _pack(key, self._find_newest(key, number))
        if family is None or cells is None or key not in family.index:
            return
        part, own_key = arena.open_part(family, EXEMPLARS), (*key, str(number))
        series, location = arena.reserve(part, own_key)
        _write(location, cells)
        location.cells[location.at + EXEMPLAR_PRESENCE] = NEVER_SET
        arena.publish(part, own_key, series)
        self._locations.setdefault(key, {})[number] = location  # from now on `share` writes
        self._write_newest(key, number, location)

    def _write_newest(self, key: Key, number: int, location: Location) -> None:
        """Write the newest exemplar of the present child; again until it is the newest one after that."""
        newest = self._find_newest(key, number)
        while True:
            _write(location, _pack(key, newest) or _NONE)
            before, newest = newest, self._find_newest(key, number)
            if newest == before:
                return

    def _find_newest(self, key: Key, number: int) -> tuple[int, Exemplar] | None:
        """Return the newest exemplar that the present child has for these cells, after its place."""
        child = self._by_values.get(key)
        if child is None or not is_attached(child):
            return None
        present = child.read_placed_exemplars().items()
        found = [(place, exemplar) for place, exemplar in present if place % self._limit == number]
        return max(found, key=_get_time, default=None)

    def drop(self, child: SharedChild) -> None:
        """Drop the exemplars of a series, because the child has dropped its own."""
        self._worker.do(partial(self._drop, child))

    def _drop(self, child: SharedChild) -> None:
        if self._by_values.get(child.labelvalues) is not child:  # the cells are those of a later child
            return
        arena = self._worker.arena
        family = self._find_family(arena) if arena else None
        part = family.parts.get(EXEMPLARS) if family else None
        for key in part.owned.get(child.labelvalues, ()) if part else ():
            assert part is not None
            _write(part.locate(part.index[key]), _NONE)
        self.share_all(child)  # what it has got since


def _get_time(found: tuple[int, Exemplar]) -> float:
    return get_time(found[1])


def _pack(key: Key, found: tuple[int, Exemplar] | None) -> array[float] | None:
    return None if found is None else pack_exemplar(pack_key(key), *found)


def _write(location: Location, cells: array[float]) -> None:
    mapped = cast("memoryview", location.cells)
    mapped[location.at : location.at + EXEMPLAR_PRESENCE] = cells  # in one call of a C function
