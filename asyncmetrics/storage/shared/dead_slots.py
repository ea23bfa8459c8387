"""Removing series from the slots of dead workers, which have no owner that could do it.

What the series own in parts stays in the cells. Readers leave it out, and the next owner of the slot removes it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice

from asyncmetrics.interruptions import ignoring
from asyncmetrics.storage.shared.files.layout import CHANGES, CorruptError
from asyncmetrics.storage.shared.files.slot_reader import SlotReader
from asyncmetrics.storage.shared.files.slots import own_slot
from asyncmetrics.storage.shared.scrape.slot_readers import SlotReaders

__all__ = ("remove_from_dead_slots",)

_WORD = struct.Struct("=Q")
_BATCH = 256  # series in one step: 256 calls of `pwrite` take 0.3 ms


def remove_from_dead_slots(
    name: tuple[str, str], keys: set[tuple[str, ...]] | None, readers: SlotReaders
) -> Iterator[tuple[()]]:
    """Remove the series of a family with these label values (None: all) from all slots without a live owner.

    Each item is one step. Skip a slot that cannot be read, or that another worker takes over during this.
    """
    for reader in readers.list_readers():
        if not reader.is_live:
            yield from _remove_from_slot(reader, name, keys)


def _remove_from_slot(
    reader: SlotReader, name: tuple[str, str], keys: set[tuple[str, ...]] | None
) -> Iterator[tuple[()]]:
    with ignoring(OSError, CorruptError), own_slot(reader.directory, reader.number) as file:
        for _ in reader.sync():
            yield ()
        if reader.header is None:  # a slot of another layout, for instance, which this process must not change
            return
        # An odd number means that series are being removed (see `Header`). It is already odd if a remover was killed.
        changes = reader.header.changes | 1
        file.write(_WORD.pack(changes), 8 * CHANGES)
        for family in list(reader.log.named.get(name, ())):
            zeros = bytes(8 * family.definition.stride)
            numbers = iter(family.find_numbers(keys))
            while batch := list(islice(numbers, _BATCH)):
                for number in batch:
                    file.write(zeros, 8 * family.locate_cell(number))
                yield ()
        file.write(_WORD.pack(changes + 1), 8 * CHANGES)
