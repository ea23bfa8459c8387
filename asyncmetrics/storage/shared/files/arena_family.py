"""One family in the arena that this process owns: the numbers of its series, and where their cells are."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple, final

from asyncmetrics.storage.shared.files.cells import Location
from asyncmetrics.storage.shared.files.definition import Definition
from asyncmetrics.storage.shared.files.keys import Key, pack_key
from asyncmetrics.storage.shared.files.records import EXTENT, FACTS, FAMILY, SERIES, pack_extent, pack_record
from asyncmetrics.storage.shared.files.slot_family import SlotFamily

__all__ = ("Extent", "Family", "link_parts")

_BATCH = 256  # series in one step of a search: 0.1 ms
_MAX_EXTENT_SERIES = 4096  # extents double a family's room up to here; more would reserve too many cells in advance
_FIRST_EXTENT_SERIES = 4  # of a family whose series have keys; a metric without labels has one series


class Extent(NamedTuple):
    """Cells for ``room`` series of a family from ``number`` on; ``first`` is the first cell's index in the file."""

    number: int
    room: int
    first: int
    location: Location


@final
class Family:
    """The series of one family, by their label values.

    ``index`` has the numbers of published series, ``removed`` those of removed ones whose records are still in the log,
    and ``free`` those that any series may get. ``used`` is one more than the largest number that was ever published.
    ``inherited`` has a 1 for the number of each series with counts that a new child must take over: those of a dead
    worker, or of a child that has expired. ``declared`` is the number of the last declaration. ``parts`` has
    the parts of the family by their names. In a part, ``owned`` has the keys of published series by their owners' keys.
    `asyncmetrics.storage.shared.files.arena` describes the states.
    """

    def __init__(self, number: int, definition: Definition, declared: int) -> None:
        self.number = number
        self.definition = definition
        self.declared = declared
        self.stride = definition.stride
        self.extents: list[Extent] = []
        self.index: dict[Key, int] = {}
        self.removed: dict[Key, int] = {}
        self.facts: dict[Key, bytes] = {}
        self.free: list[int] = []
        self.used = 0
        self.inherited = bytearray()
        self.parts: dict[str, Family] = {}
        self.owned: dict[Key, list[Key]] = {}
        self.generation = -1  # of the log that has the records of ``removed``

    @property
    def room(self) -> int:
        """How many series the extents have cells for."""
        return self.extents[-1].number + self.extents[-1].room if self.extents else 0

    def choose_room(self) -> int:
        """Return how many series the next extent should have cells for."""
        if self.definition.key_length and not self.extents:
            return _FIRST_EXTENT_SERIES
        return min(max(1, self.room), _MAX_EXTENT_SERIES)

    def locate(self, number: int) -> Location:
        """Return where the cells of series ``number`` are."""
        extent = self.extents[-1]
        if number < extent.number:  # a new series is in the last extent, which needs no search
            extent = self.extents[bisect_right(self.extents, number, key=lambda extent: extent.number) - 1]
        cells, index = extent.location
        return Location(cells, index + (number - extent.number) * self.stride)

    @classmethod
    def make(cls, declared: SlotFamily, locate: Callable[[int], Location], generation: int) -> Family:
        """Return a family as a log declares it; a series without a presence is removed."""
        family = cls(declared.number, declared.definition, declared.declared)
        for first, count in declared.extents:
            family.extents.append(Extent(family.room, count, first, locate(first)))
        family.index = dict(declared.iter_series())
        facts = {number: packed for page in declared.facts.values() for number, packed in page.items()}
        family.facts = {key: facts[number] for key, number in family.index.items() if number in facts}
        family.used = declared.room
        family.free = sorted(set(range(family.used)) - set(family.index.values()))
        family.generation = generation
        for key, number in list(family.index.items()):
            cells, at = family.locate(number)
            if not cells[at + family.definition.presence]:
                family.removed[key] = family.index.pop(key)
        family.own(family.index)
        return family

    def own(self, keys: Iterable[Key]) -> None:
        """Record the owners of published series, if this family is a part."""
        for key in keys if self.definition.part else ():
            self.owned.setdefault(key[:-1], []).append(key)

    def take_part(self, part: Family) -> None:
        """Take a part of this family; remove its series whose owners do not exist."""
        self.parts[part.definition.part] = part
        for owner in part.owned.keys() - self.index.keys():
            part.remove(part.owned[owner])

    def remove(self, keys: Iterable[Key]) -> None:
        """Set the cells of published series to zero: the presence first, so that no reader sees the others at zero."""
        for key in list(keys):
            cells, index = self.locate(self.index[key])
            cells[index + self.definition.presence] = 0.0
            for cell in range(index, index + self.stride):
                cells[cell] = 0.0
            self.forget_inherited(self.index[key])
            self.removed[key] = self.index[key]
            del self.index[key]
            if self.definition.part:
                self.owned[key[:-1]].remove(key)
                if not self.owned[key[:-1]]:
                    del self.owned[key[:-1]]

    def inherit(self, keys: Iterable[Key], mark: int = 1) -> None:
        """Record that new children must take over the counts of these series, or with ``mark`` 0 that they must not."""
        self.inherited.extend(bytes(max(0, self.used - len(self.inherited))))
        for key in keys:
            if key in self.index:
                self.inherited[self.index[key]] = mark

    def remove_all(self) -> None:
        """Remove all series, which describe a dead process."""
        for number in self.index.values():
            cells, at = self.locate(number)
            cells[at + self.definition.presence] = 0.0
        self.removed.update(self.index)
        self.index.clear()

    def find_unchanged(self, seconds: float) -> Iterator[set[Key]]:
        """Yield the series that have not changed for so long, of `_BATCH` series at each step; the family ages."""
        change_cell = self.definition.presence + 1
        items = iter(self.index.items())
        while batch := list(islice(items, _BATCH)):
            now = time.monotonic()
            found = set()
            for key, number in batch:
                cells, at = self.locate(number)
                if not 0 <= now - cells[at + change_cell] < seconds:
                    found.add(key)
            yield found

    def is_inherited(self, number: int) -> bool:
        """Return whether the cells of series ``number`` hold counts that a child must take over."""
        return 0 <= number < len(self.inherited) and bool(self.inherited[number])

    def forget_inherited(self, number: int) -> None:
        """Record that a child has taken over the counts of series ``number``, or that it was removed."""
        if number < len(self.inherited):
            self.inherited[number] = 0

    def free_removed(self, generation: int) -> None:
        """Free the numbers of removed series if ``generation``, the current log, no longer has their records."""
        if self.generation != generation:
            self.free, self.removed, self.generation = [*self.free, *self.removed.values()], {}, generation

    def pack_records(self) -> Iterator[bytes]:
        """Yield the records that declare the family, its extents, and all published series with their facts."""
        yield pack_record(FAMILY, self.number, self.declared, self.definition.pack())
        for extent in self.extents:
            yield pack_record(EXTENT, self.number, extent.first, pack_extent(extent.room, extent.number))
        for key, number in self.index.items():
            yield pack_record(SERIES, self.number, number, pack_key(key))
        for key, facts in self.facts.items():
            if key in self.index:
                yield pack_record(FACTS, self.number, self.index[key], facts)


def link_parts(families: Iterable[Family]) -> dict[tuple[str, str, int, str], Family]:
    """Return families by their keys, each with its parts."""
    by_key = {family.definition.local_key: family for family in families}
    for family in by_key.values():
        if family.definition.part:
            by_key[family.definition.owner_key].take_part(family)
    return by_key
