"""One family over all workers: its series, wherever they come from.

*Rules.* A reading is of one moment for each slot, and belongs to one scrape: others may begin meanwhile. Where workers
define a family in several ways, the definition that was declared last counts, that of a live worker before that of a
dead one; what is defined otherwise is left out and counted.

*Theory of operation.* A `View` numbers the series as it meets them and remembers for each slot which of the slot's
series that is; what becomes of their numbers is said in `asyncmetrics.storage._points`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import final

from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.family import Point
from asyncmetrics.storage._layout import Definition
from asyncmetrics.storage._points import BY_WORKER, MERGING, MISSING, Key, OwnPart, Part, Reading
from asyncmetrics.storage._reading import SlotFamily, SlotReader, SlotReaders

__all__ = ("View", "newest")

_ABSORBED = 1024  # series that are numbered at once: about a millisecond's work
_TRIES = 5


@final
class _Layer:
    """Which of one slot's series are which of the view's."""

    def __init__(self, family: SlotFamily) -> None:
        self.family = family
        self.places: list[int] = []
        self.taken = 0
        self.changes = -1
        self.has_gaps = False
        self.in_order = True  # whether each of its series has the number that it has in the view


@final
class View:
    """One family over all slots. ``write`` writes a label block, or is None where it is written in several ways.

    Its caller sees to it that one thread at a time takes a step of `readings`.
    """

    def __init__(self, descriptor: Descriptor, space: str, write: Callable[[Key], str] | None) -> None:
        self.descriptor = descriptor
        self.keys: list[Key] = []
        self.texts: list[str | None] = []
        self.conflicts = 0
        self._space = space
        self._write = write
        self._ordinals: dict[Key, int] = {}
        self._layers: dict[tuple[int, int], _Layer] = {}

    def readings(self, readers: SlotReaders, own: OwnPart) -> Iterator[Sequence[Point]]:
        """Read the family: empty slices while the logs are followed, then the points."""
        for attempt in range(1, _TRIES + 1):
            for _ in readers.sync():
                yield ()
            yield from self._absorbing(readers)
            parts = self._parts(readers)
            if None not in parts or attempt == _TRIES:
                good = [part for part in parts if part is not None]
                yield from MERGING[self.descriptor.kind](Reading(self.descriptor, self.keys, self.texts, good, own))
                return

    def anew(self) -> View:
        """Return a view of the same family that has met no series yet."""
        return View(self.descriptor, self._space, self._write)

    def _families(self, readers: SlotReaders) -> list[tuple[SlotReader, SlotFamily]]:
        name, descriptor = (self._space, self.descriptor.name), self.descriptor
        named = [(reader, family) for reader in readers.all() for family in reader.named.get(name, ())]
        if all(family.definition.descriptor == descriptor for _, family in named):
            self.conflicts = 0
            return named
        alike = [pair for pair in named if pair[1].definition.descriptor.kind == descriptor.kind]
        last = newest(alike).descriptor if alike else descriptor
        found = [pair for pair in alike if pair[1].definition.descriptor == last]
        self.conflicts = len(named) - len(found)
        return found if last == descriptor else []

    def _absorbing(self, readers: SlotReaders) -> Iterator[Sequence[Point]]:
        families = self._families(readers)
        known = {(reader.number, family.number): family for reader, family in families}
        if any(known.get(which) is not layer.family for which, layer in self._layers.items()):
            self._forget()  # a log was written anew: what it no longer has would stay for ever
        for reader, family in families:
            layer = self._layers.setdefault((reader.number, family.number), _Layer(family))
            while layer.taken < len(family.keys):
                self._absorb(layer, family)
                yield ()

    def _forget(self) -> None:
        self.keys, self.texts = [], []
        self._ordinals, self._layers = {}, {}

    def _absorb(self, layer: _Layer, family: SlotFamily) -> None:
        stop = min(layer.taken + _ABSORBED, len(family.keys))
        for key, number in zip(family.keys[layer.taken : stop], family.numbers[layer.taken : stop], strict=True):
            ordinal = self._ordinals.get(key)
            if ordinal is None:
                ordinal = self._ordinals[key] = len(self.keys)
                self.texts.append(None if self._write is None else self._write(key))
                self.keys.append(key)
            layer.in_order = layer.in_order and ordinal == number == len(layer.places)
            if ordinal == len(layer.places):
                layer.places.append(number)
            else:
                layer.places.extend(repeat(MISSING, ordinal + 1 - len(layer.places)))
                layer.places[ordinal] = number
        layer.taken = stop

    def _parts(self, readers: SlotReaders) -> list[Part | None]:
        """Return the numbers of all slots, None for one whose log was written anew this moment."""
        return [self._part(readers, reader, family) for reader, family in self._families(readers)]

    def _part(self, readers: SlotReaders, reader: SlotReader, family: SlotFamily) -> Part | None:
        layer = self._layers.get((reader.number, family.number))
        if layer is None or layer.family is not family or not readers.read(reader, family):
            return None
        places = layer.places[: len(self.keys)]
        places.extend(repeat(MISSING, len(self.keys) - len(places)))
        live = self.descriptor.kind in BY_WORKER and reader.is_live
        part = Part(reader.number, live, family, family.cells, places, layer.has_gaps, layer.in_order)
        changes = reader.header.changes if reader.header else 0
        if layer.changes != changes or not reader.steady:
            layer.changes, layer.has_gaps = -1 if changes & 1 else changes, family.has_gaps()
        return part._replace(has_gaps=layer.has_gaps)


def newest(families: Iterable[tuple[SlotReader, SlotFamily]]) -> Definition:
    """Return the definition that counts."""
    _, family = max(families, key=lambda pair: (pair[0].is_live, pair[1].definition.declared))
    return family.definition
