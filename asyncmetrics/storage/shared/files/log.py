"""The log of keys of one slot, as a reader follows it.

*Theory of operation.* The states of a log:

1. *Behind*: the header publishes more bytes than are parsed. `Log.follow` parses some records in each step, and each
   record changes one family: state 2 at the end.
2. *Up to date*: all published bytes are parsed. When the owner appends a record and publishes it: state 1.
3. *Discarded*: the owner has published another generation, and the reader has followed that to its end (see
   `asyncmetrics.storage.shared.files.slot_reader`). `Log.discard` gives up all families.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

from asyncmetrics.storage.shared.files.definition import Definition
from asyncmetrics.storage.shared.files.layout import CorruptError
from asyncmetrics.storage.shared.files.open_file import OpenFile
from asyncmetrics.storage.shared.files.records import DECLARED, FAMILY, RETIRED, read_records
from asyncmetrics.storage.shared.files.slot_family import SlotFamily
from asyncmetrics.storage.shared.pages import UnusedPages

__all__ = ("Log",)

_STEP_BYTES = 1 << 14  # bytes of a log that one step parses: half a millisecond


@final
class Log:
    """One generation of a slot's log, of which ``parsed_bytes`` are parsed. Pages of retired families go to ``unused``.

    ``families`` has the families by their number in the log, ``named`` by the name under which a scrape merges them;
    parts are not there, but in the ``parts`` of their owners.
    ``declarations`` counts the records that declare or retire a family, ``waste`` those that a later one has replaced.
    """

    def __init__(self, generation: int, file: OpenFile, unused: UnusedPages) -> None:
        self.generation = generation
        self.parsed_bytes = 0
        self.families: dict[int, SlotFamily] = {}
        self.named: dict[tuple[str, str], list[SlotFamily]] = {}
        self.declarations = 0
        self.waste = 0
        self._file = file
        self._spent = unused

    def follow(self, end: int) -> Iterator[None]:
        """Parse the log up to ``end``, `_STEP_BYTES` at each step. Raises OSError and `CorruptError`."""
        while self.parsed_bytes < end:
            want = _STEP_BYTES
            before = self.parsed_bytes
            while self.parsed_bytes == before:  # a record may be longer than a step
                data = self._file.read(min(want, end - before), before)
                for kind, family, number, payload, end_of_record in read_records(data):
                    self._apply_record(kind, family, number, payload)
                    self.parsed_bytes = before + end_of_record
                if self.parsed_bytes == before and len(data) < want:
                    raise CorruptError("the log of keys is cut off")
                want *= 4
            yield

    def _apply_record(self, kind: int, family: int, number: int, payload: bytes) -> None:
        known = self.families.get(family)
        if kind in {FAMILY, RETIRED, DECLARED}:
            self.declarations += 1
            self.waste += known is not None
        if kind == FAMILY:
            self._declare(family, number, Definition.unpack(payload))
        elif known is None:
            return
        elif kind == RETIRED:
            self._retire(known)
        elif kind == DECLARED:
            known.declared = number
        else:
            known.apply_record(kind, number, payload)

    def is_open(self) -> bool:
        """Return whether the file is open."""
        return self._file.is_open()

    def _declare(self, family: int, number: int, definition: Definition) -> None:
        known = self.families.get(family)
        if known is not None:
            if known.definition.fits(definition):  # at most the documentation is new
                known.definition, known.declared = definition, number
                return
            self._retire(known)
        self.families[family] = declared = SlotFamily(family, definition, number)
        if not definition.part:
            self.named.setdefault(definition.name, []).append(declared)
        elif (owner := self._find_owner(definition)) is not None:
            owner.parts[definition.part] = declared

    def _find_owner(self, definition: Definition) -> SlotFamily | None:
        named = self.named.get(definition.name, ())
        return next((family for family in named if family.definition.local_key == definition.owner_key), None)

    def _retire(self, family: SlotFamily) -> None:
        del self.families[family.number]
        definition = family.definition
        if not definition.part:
            self.named[definition.name].remove(family)
        elif (owner := self._find_owner(definition)) is not None and owner.parts.get(definition.part) is family:
            del owner.parts[definition.part]
        family.discard(self._spent)

    def discard(self) -> None:
        """Pass the pages of all families to ``unused``, because another log has replaced this one."""
        for family in self.families.values():
            family.discard(self._spent)
        self.families, self.named = {}, {}
        self.declarations += 1

    def close(self) -> None:
        """Close the file of the log."""
        self._file.close()
