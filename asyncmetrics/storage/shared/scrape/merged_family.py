"""One family over all slots: its series and their numbers.

*Rules.*

* Read each slot at one moment: the cells of a slot belong to one state of its log.
* Let each scrape keep what it has read, because others may begin before it ends.
* If workers define a family in several ways, use the newest definition (`asyncmetrics.storage.shared.scrape.newest`).
  Leave out the series of other definitions. A family of such a definition has no points.

*Theory of operation.* A scrape reads a family in these states, in many short steps:

1. *Logs unknown*: other workers may have made and removed series. Follow the logs of all slots to their ends
   (`asyncmetrics.storage.shared.scrape.slot_readers`): state 2.
2. *Logs known*: number the new series (`asyncmetrics.storage.shared.scrape.numbering`). If a log was rewritten, begin a
   new numbering first: the old one would keep the series that the log no longer has. Then state 3.
3. *Series known*: read the cells of each slot into a `Snapshot`, and after them those of its parts
   (`asyncmetrics.storage.shared.scrape.parts`). If a log was rewritten since 1, its cells may belong
   to other series: begin another attempt in 1. If not, or in the last attempt: state 4.
4. *Numbers known*: yield the points (`asyncmetrics.storage.shared.scrape.merge_rules`): state 5.
5. *Done*: release the pages that no scrape uses any more (`asyncmetrics.storage.shared.pages`). If the caller stops
   reading before this, the next scrape releases them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import final

from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.family import Point
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.storage.shared.files.definition import BUCKETS, EXEMPLARS
from asyncmetrics.storage.shared.files.keys import Key
from asyncmetrics.storage.shared.files.slot_family import SlotFamily
from asyncmetrics.storage.shared.files.slot_reader import UNSTEADY, SlotReader
from asyncmetrics.storage.shared.pages import UnusedPages
from asyncmetrics.storage.shared.scrape.exemplars import SlotExemplars
from asyncmetrics.storage.shared.scrape.merge_rules import MERGE_RULES
from asyncmetrics.storage.shared.scrape.newest import NewestFamily, SlotFamilies
from asyncmetrics.storage.shared.scrape.numbering import Numbering
from asyncmetrics.storage.shared.scrape.parts import PartOrder, PartSnapshot
from asyncmetrics.storage.shared.scrape.slot_readers import SlotReaders
from asyncmetrics.storage.shared.scrape.snapshot import LocalState, SlotSnapshot, Snapshot

__all__ = ("MergedFamily",)

_PARTS = (BUCKETS,)  # the parts that a scrape reads, of the families that have them

_ATTEMPTS = 5  # each fails only if a worker rewrites its log during it, which it does at most once in 64 removals


@final
class MergedFamily:
    """One family over all slots; ``shape`` is the `Descriptor.shape` of its definition.

    ``write`` renders a label block; None if the blocks are not kept. The caller ensures that one thread at a time takes
    a step of `read`.
    """

    def __init__(self, descriptor: Descriptor, space: str, write: Callable[[Key], str] | None) -> None:
        self.descriptor = descriptor
        self.shape = descriptor.shape
        self._space = space
        self._write = write
        self._labels = len(descriptor.all_labelnames)
        self._numbering = Numbering(write, self._labels)

    def read(self, readers: SlotReaders, local: LocalState) -> Iterator[Sequence[Point]]:
        """Yield the points of the family in slices; a slice is empty where a step has done other work."""
        yield from readers.unused.release()
        for attempt in range(1, _ATTEMPTS + 1):
            for _ in readers.sync():
                yield ()
            is_done = yield from self._attempt(readers, local, is_last=attempt == _ATTEMPTS)
            yield from readers.unused.release()
            if is_done:
                return

    def renew(self) -> MergedFamily:
        """Return a new object for the same family, which knows no series yet."""
        return MergedFamily(self.descriptor, self._space, self._write)

    def forget(self, unused: UnusedPages) -> None:
        """Begin a new numbering; scrapes that use the old one continue with it."""
        before, self._numbering = self._numbering, Numbering(self._write, self._labels)
        if not before.users:
            before.discard(unused)

    def _list_families(self, readers: SlotReaders) -> SlotFamilies:
        """Return the slots' families that are merged: none if another definition is the newest."""
        return newest.slot_families if (newest := self._find_newest(readers)) is not None else []

    def is_newest(self, readers: SlotReaders) -> bool:
        """Return whether this is the definition that counts for all workers."""
        return self._find_newest(readers) is not None

    def _find_newest(self, readers: SlotReaders) -> NewestFamily | None:
        newest = readers.choose_newest(self._space).by_name.get(self.descriptor.name)
        return newest if newest is not None and newest.shape == self.shape else None

    def _attempt(
        self, readers: SlotReaders, local: LocalState, *, is_last: bool
    ) -> Generator[Sequence[Point], None, bool]:
        """Go from *Logs known* to *Numbers known* once; return whether the points were yielded."""
        families = self._list_families(readers)
        # A rewritten log has new `SlotFamily` objects; a slot's family is missing if it was retired.
        known = {(reader.number, family.number): family for reader, family in families}
        if any(known.get(which) is not order.family for which, order in self._numbering.orders.items()):
            self.forget(readers.unused)
        numbering = self._numbering
        slots: list[SlotSnapshot] = []
        numbering.users += 1  # another scrape may begin a new numbering, and must not discard this one
        try:
            yield from numbering.add_series(families)
            size = len(numbering.keys)
            is_whole = yield from self._read_slots(families, readers, numbering, size, slots)
            if is_whole or is_last:
                merge = MERGE_RULES[KINDS[self.descriptor.kind].merge]
                yield from merge(Snapshot(self.descriptor, numbering, size, slots, local))
            return is_whole or is_last
        finally:
            for slot in slots:
                slot.discard(readers.unused)
            numbering.users -= 1
            if not numbering.users and numbering is not self._numbering:
                numbering.discard(readers.unused)

    def _read_slots(
        self, families: SlotFamilies, readers: SlotReaders, numbering: Numbering, size: int, slots: list[SlotSnapshot]
    ) -> Generator[tuple[()], None, bool]:
        """Add the numbers of each slot to ``slots``; return False if the log of one was rewritten in between."""
        is_whole = True
        for reader, family in families:
            order = numbering.orders[reader.number, family.number]
            if order.family is not family:
                is_whole = False
                continue
            numbers = yield from order.copy_numbers(size)
            room = order.room  # now: another scrape may raise it before the cells are read
            read = yield from readers.read(reader, family, room)
            if read is None:
                is_whole = False
                continue
            if order.changes != read.changes or read.changes == UNSTEADY:
                order.has_gaps = yield from family.has_gaps(read.cells)
                order.changes = read.changes
            # Counts do not depend on it, and asking takes two system calls.
            is_live = KINDS[self.descriptor.kind].is_state and reader.is_live
            slot = SlotSnapshot(reader.number, is_live, family, read.cells, numbers, room, order.has_gaps)
            slots.append(slot)
            for part in _PARTS if family.parts else ():
                is_read = yield from self._read_part(reader, family, readers, numbering, slot, part)
                is_whole = is_whole and is_read
            yield from self._find_exemplars(reader, family, numbering, slot)
        return is_whole

    def _find_exemplars(
        self, reader: SlotReader, family: SlotFamily, numbering: Numbering, slot: SlotSnapshot
    ) -> Iterator[tuple[()]]:
        """Find out which exemplars the series of a slot have, and read none of them."""
        part = family.parts.get(EXEMPLARS)
        if part is not None:
            order = numbering.part_orders.setdefault((reader.number, part.number), PartOrder(part))
            if order.family is part:
                yield from order.add_members(numbering.ordinals)
                slot.exemplars = SlotExemplars(reader, order)

    def _read_part(
        self,
        reader: SlotReader,
        family: SlotFamily,
        readers: SlotReaders,
        numbering: Numbering,
        slot: SlotSnapshot,
        part: str,
    ) -> Generator[tuple[()], None, bool]:
        """Add a part to what ``slot`` has of its owners; return False if the log was rewritten in between."""
        for _ in reader.sync():  # once more: members of before the owners were read must be known
            yield ()
        member = family.parts.get(part)
        if member is None:
            return reader.log.families.get(family.number) is family
        order = numbering.part_orders.setdefault((reader.number, member.number), PartOrder(member))
        if order.family is not member:
            return False
        yield from order.add_members(numbering.ordinals)
        room = order.room  # now, as above
        read = yield from readers.read(reader, member, room)
        if read is None:
            return False
        slot.parts[part] = PartSnapshot(order, read.cells, room)
        return True
