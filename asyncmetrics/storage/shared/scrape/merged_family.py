"""One family over all workers: its series, wherever they come from.

*Rules.* A reading is of one moment for each slot, and belongs to one scrape: others may begin meanwhile. Where workers
define a family in several ways, the definition that was declared last counts, that of a live worker before that of a
dead one; what is defined otherwise is left out and counted.

*Theory of operation.* A reading takes these steps, each of them short; `asyncmetrics.storage.shared.scrape.merge_rules` says what becomes
of the numbers.

1. Follow the logs of all slots (`asyncmetrics.storage.shared.scrape.slot_readers`).
2. Number the series that are new (`asyncmetrics.storage.shared.scrape.numbering`). A merged that knows a log which was written anew
   begins with a new numbering: series that the log no longer has would stay for ever.
3. Read the cells of each slot; if a log was written anew meanwhile, begin again.
4. Yield the points.
5. Release what no reading uses any more (`asyncmetrics.storage.shared.pages`); a reading that is given up leaves that to the
   next one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TypeAlias, final

from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.family import Point
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.storage.shared.files.layout import Definition
from asyncmetrics.storage.shared.files.log import Key, SlotFamily
from asyncmetrics.storage.shared.files.slot_reader import UNSTEADY, SlotReader
from asyncmetrics.storage.shared.pages import Spent
from asyncmetrics.storage.shared.scrape.merge_rules import MERGE_RULES
from asyncmetrics.storage.shared.scrape.numbering import Numbering
from asyncmetrics.storage.shared.scrape.slot_readers import SlotReaders
from asyncmetrics.storage.shared.scrape.snapshot import OwnPart, Part, Reading

__all__ = ("MergedFamily", "newest")

_TRIES = 5

_Families: TypeAlias = "list[tuple[SlotReader, SlotFamily]]"


@final
class MergedFamily:
    """One family over all slots. ``write`` writes a label block, or is None where it is written in several ways.

    Its caller sees to it that one thread at a time takes a step of `readings`.
    """

    def __init__(self, descriptor: Descriptor, space: str, write: Callable[[Key], str] | None) -> None:
        self.descriptor = descriptor
        self.conflicts = 0
        self._space = space
        self._write = write
        self._labels = len(descriptor.all_labelnames)
        self._numbering = Numbering(write, self._labels)

    def readings(self, readers: SlotReaders, own: OwnPart) -> Iterator[Sequence[Point]]:
        """Read the family: yield the points, and empty slices where a step has done other work."""
        yield from readers.spent.release()
        for attempt in range(1, _TRIES + 1):
            for _ in readers.sync():
                yield ()
            is_done = yield from self._attempt(readers, own, is_last=attempt == _TRIES)
            yield from readers.spent.release()
            if is_done:
                return

    def anew(self) -> MergedFamily:
        """Return a merged of the same family that has met no series yet."""
        return MergedFamily(self.descriptor, self._space, self._write)

    def forget(self, spent: Spent) -> None:
        """Give up what is known; a reading that is under way goes on with it."""
        before, self._numbering = self._numbering, Numbering(self._write, self._labels)
        if not before.users:
            spent.add(before.lists())

    def _families(self, readers: SlotReaders) -> _Families:
        name, descriptor = (self._space, self.descriptor.name), self.descriptor
        named = [(reader, family) for reader in readers.all() for family in reader.log.named.get(name, ())]
        if all(family.definition.descriptor == descriptor for _, family in named):
            self.conflicts = 0
            return named
        alike = [pair for pair in named if pair[1].definition.descriptor.kind == descriptor.kind]
        last = newest(alike).descriptor if alike else descriptor
        found = [pair for pair in alike if pair[1].definition.descriptor == last]
        self.conflicts = len(named) - len(found)
        return found if last == descriptor else []

    def _attempt(self, readers: SlotReaders, own: OwnPart, *, is_last: bool) -> Generator[Sequence[Point], None, bool]:
        """Read the family once; return whether that was good, or else the last attempt."""
        families = self._families(readers)
        known = {(reader.number, family.number): family for reader, family in families}
        if any(known.get(which) is not layer.family for which, layer in self._numbering.layers.items()):
            self.forget(readers.spent)
        numbering = self._numbering
        parts: list[Part] = []
        numbering.users += 1
        try:
            yield from numbering.absorbing(families)
            size = len(numbering.keys)
            is_good = yield from self._take(families, readers, numbering, size, parts)
            if is_good or is_last:
                merge = MERGE_RULES[KINDS[self.descriptor.kind].merge]
                yield from merge(Reading(self.descriptor, numbering, size, parts, own))
            return is_good or is_last
        finally:
            readers.spent.add(block for part in parts for block in part.blocks())
            numbering.users -= 1
            if not numbering.users and numbering is not self._numbering:
                readers.spent.add(numbering.lists())

    def _take(
        self, families: _Families, readers: SlotReaders, numbering: Numbering, size: int, parts: list[Part]
    ) -> Generator[tuple[()], None, bool]:
        """Add the numbers of each slot to ``parts``; return False if a log was written anew this moment."""
        is_good = True
        for reader, family in families:
            layer = numbering.layers[reader.number, family.number]
            if layer.family is not family:
                is_good = False
                continue
            places = yield from layer.copied(size)
            room = layer.room  # as it is now: another reading may raise it before the cells are read
            found = yield from readers.read(reader, family, room)
            if found is None:
                is_good = False
                continue
            if layer.changes != found.changes or found.changes == UNSTEADY:
                layer.has_gaps = yield from family.has_gaps(found.cells)
                layer.changes = found.changes
            is_live = KINDS[self.descriptor.kind].is_state and reader.is_live
            parts.append(Part(reader.number, is_live, family, found.cells, places, room, layer.has_gaps))
        return is_good


def newest(families: Iterable[tuple[SlotReader, SlotFamily]]) -> Definition:
    """Return the definition that counts."""
    _, family = max(families, key=lambda pair: (pair[0].is_live, pair[1].definition.declared))
    return family.definition
