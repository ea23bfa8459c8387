"""The arena that this process owns: cells for its series, and the log that declares them to the other workers.

*Rules.*

* Call it from one thread at a time; `asyncmetrics.storage.shared.worker` ensures that.
* Let only the owner map the file of cells or write to it; another worker removes series of a dead one.
* Write a series' cells before its record, and the record before the word of the header that publishes it.
* An exception of a signal handler may end any call here. The files are then as a killed process leaves them. While the
  tables in memory do not agree with them, ``is_whole`` is False. Find out whether there is room before that.

*Theory of operation.* The states of an arena:

1. *Empty*: the file of cells is new. `Arena` creates the log in generation 0 and writes the header, the magic number
   last: state 2.
2. *Released*: no process owns the arena. `Arena` adopts it in these steps, and then it is in state 3.

   1. Read the log. If the files do not agree, raise `CorruptError`: nothing has changed, and the slot stays unchanged.
   2. Write this process's id and start time into the header. Remove logs that are not current.
   3. Take over the families with their series and numbers. Counts stay. Gauges, infos and state sets describe a process
      that is dead, so their presence becomes 0: the series are *removed*.
   4. If the end of the log cannot be read, cut it off, count a dropped series, and rewrite the log.

3. *Owned*: this process writes to the arena. `Arena.close` or the end of the process leads back to 2. After an
   exception in the middle of a change, `Arena.recover` reads the log, removes logs that are not current, and takes
   step 3 again, but removes no gauge.

The states of a series in an owned arena:

1. *Unknown*: the series has no number. `Arena.reserve` chooses a free number, or the next one, and sets its cells to
   zero: state 2.
2. *Reserved*: the owner writes to the cells; no reader knows of them. `Arena.publish` appends the record: state 3. If
   nothing publishes the series, the same number is reserved for the next one.
3. *Published*: the log has the record and ``index`` the number. `Arena.remove` leads to 4.
4. *Removed*: the presence is 0, and so are all cells; the record stays in the log. The series that it owns in parts are
   removed as well; after a kill in between, step 3 of the adoption or `Arena.recover` does it. If a child with the same
   label values is made again, the series gets the same number, and `Arena.publish` leads back to 3 without a record.
5. *Free*: the log was rewritten, without the record. Any series of the family can get the number: state 2.

The log is rewritten as soon as more of its records are useless than useful (`Arena.rewrite_log`); for the steps of that
see `asyncmetrics.storage.shared.files.log_writer`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from typing import final

from asyncmetrics.interruptions import ignoring
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.storage.lineage import read_start_time
from asyncmetrics.storage.shared.files.arena_family import Extent, Family, link_parts
from asyncmetrics.storage.shared.files.cells import CellsFile, Location
from asyncmetrics.storage.shared.files.definition import Definition
from asyncmetrics.storage.shared.files.directory import Directory
from asyncmetrics.storage.shared.files.keys import Key, pack_key
from asyncmetrics.storage.shared.files.layout import (
    CELLS,
    CHANGES,
    DROPPED,
    FIRST_DECLARED,
    HEADER_BYTES,
    IDLE,
    KEYS,
    LAST_DECLARED,
    MAGIC,
    PID,
    START,
    CorruptError,
    Header,
    join_log_position,
)
from asyncmetrics.storage.shared.files.log import Log
from asyncmetrics.storage.shared.files.log_writer import LogWriter
from asyncmetrics.storage.shared.files.open_file import OpenFile
from asyncmetrics.storage.shared.files.records import (
    DECLARED,
    EXTENT,
    FACTS,
    FAMILY,
    RETIRED,
    SERIES,
    pack_extent,
    pack_record,
)
from asyncmetrics.storage.shared.files.slot_reader import OwnFiles
from asyncmetrics.storage.shared.files.slots import (
    find_last_declaration,
    name_cells_file,
    release_slot,
    retake_slot,
    take_slot,
)

__all__ = ("Arena",)

_MIN_WASTE = 64  # useless records that no log is rewritten for: each reader must read the new one from the beginning


@final
class Arena:
    """This process's arena in a directory. Raises OSError if there is no free slot, or no room for its files.

    ``idle`` says that this process serves nothing. ``passed_over`` counts the slots that could not be used. If
    ``is_whole`` is False, an exception has ended a call in the middle: call `recover` before anything else.
    """

    def __init__(self, directory: Directory, *, idle: bool = False) -> None:
        self._directory = directory
        # The lock has its own descriptor. The mapping keeps a duplicate of the one that it is made from, which a
        # forked process inherits: with a lock on that, the slot would stay locked after this process has died.
        self._cells_file = self._lock = OpenFile()
        self._log = LogWriter(directory)
        self.is_whole = True
        self._idle = int(idle)
        try:
            self.number, self._lock, self.passed_over = take_slot(directory, self._begin)
        except BaseException:
            self.close()
            raise

    def _begin(self, number: int) -> None:
        """Make or adopt a slot that is locked. Raises `CorruptError`, and then nothing of it has changed."""
        self.close()
        self.families: dict[tuple[str, str, int, str], Family] = {}
        self._next_family = 0
        self._cells_file = self._directory.open(name_cells_file(number), os.O_RDWR)
        header = Header.unpack(self._cells_file.read(HEADER_BYTES, 0))
        self._cells = CellsFile(self._cells_file, header.cells if header else 0)
        self._header = self._cells.header
        self.number = number
        if header is None:
            self._log.create(number)
            self._cells.make_header()
        self._adopt()

    def _adopt(self) -> None:
        self._log.open(self.number, self._header)
        log, problem = self._read_log()
        self._become_owner()
        self.families = self._make_families(log)
        for family in self.families.values():
            family.inherit(family.index)
            if KINDS[family.definition.descriptor.kind].is_state:
                family.remove_all()
            if family.removed:
                self._header[CHANGES] = (self._header[CHANGES] | 1) + 1
        self._header[KEYS] = join_log_position(log.generation, log.parsed_bytes)
        if problem:  # step 4 of the adoption
            self.count_dropped()
            with ignoring(OSError):
                self.rewrite_log()

    def _read_log(self) -> tuple[Log, str]:
        log, problem = self._log.read()
        for family in log.families.values():
            family.check(self._header[CELLS])
        return log, problem

    def _make_families(self, log: Log) -> dict[tuple[str, str, int, str], Family]:
        """Return the families of a log as the owner keeps them, and find out which cells are unused."""
        declared = [each for family in chain(*log.named.values()) for each in (family, *family.parts.values())]
        made = [Family.make(family, self._cells.locate, log.generation) for family in declared]
        extents = [(extent, family) for family in made for extent in family.extents]
        self._cells.reuse((extent.first, extent.first + extent.room * family.stride) for extent, family in extents)
        self._next_family = max(log.families, default=-1) + 1
        return link_parts(made)

    def recover(self) -> None:
        """Make the tables agree with the files again. Raises OSError and `CorruptError` if others damaged the files."""
        log, problem = self._read_log()
        if problem:
            raise CorruptError(problem)
        self._log.remove_others()
        self._header[CHANGES] += self._header[CHANGES] & 1
        self._cells.map_growth()
        families = self._make_families(log)
        for key, family in families.items():
            before = self.families.get(key)
            if before is not None and before.number == family.number:
                family.inherited, family.definition = before.inherited, before.definition
        self.families = families
        self.is_whole = True

    def _become_owner(self) -> None:
        self._header[START] = 0  # until the id is written: the old time with the new id would name a dead owner
        self._header[IDLE] = self._idle
        self._header[FIRST_DECLARED] = 1 + find_last_declaration(self._directory)
        self._header[PID] = os.getpid()
        self._header[START] = read_start_time(os.getpid())
        self._log.remove_others()

    def has_its_files(self) -> bool:
        """Return whether this process owns the slot, and its files are whole and where other workers look for them.

        If another part of the process has closed files, open them again.
        """
        if not self._directory.is_sound():
            return self._directory.is_open  # this process has another user than before, and cannot look
        name = name_cells_file(self.number)
        with ignoring(OSError):
            if not self._lock.is_open() and not retake_slot(self._directory, self.number, self._lock):
                return False
            if not self._cells_file.is_open():
                self._directory.reopen(name, os.O_RDWR, self._cells_file)
            if not self._cells.is_whole():
                self._cells.restore_length()
                return False
            is_ours = (self._header[0], self._header[PID]) == (MAGIC, os.getpid())
            return is_ours and self._directory.is_at(name, self._cells_file) and self._log.has_its_files()
        return False

    def mark_idle(self) -> None:
        """Write to the header that this process serves nothing."""
        self._idle = self._header[IDLE] = 1

    @property
    def files(self) -> OwnFiles:
        """What the reader of this slot uses instead of files of its own."""
        return OwnFiles(self.number, self._cells_file, self._log.get_file, self._cells.peek)

    def add(self, index: int, amount: int = 1) -> None:
        """Add to a word of the header that counts; do nothing if the file is lost or cut off."""
        with ignoring(OSError):
            if self._cells.is_whole():
                self._header[index] += amount

    def count_dropped(self, amount: int = 1) -> None:
        """Count series that there was no room for, or that were lost."""
        self.add(DROPPED, amount)

    def take_declaration_numbers(self, count: int) -> int:
        """Return the first of ``count`` numbers, which are larger than those of all declarations until now."""
        last = find_last_declaration(self._directory)
        self._header[LAST_DECLARED] = last + count
        return last + 1

    def open_family(self, definition: Definition, declared: int) -> Family:
        """Return the family, and declare it if this owner has not; retire one of another definition. Raises OSError."""
        before = self.families.get(definition.local_key)
        if before is not None and before.definition is definition:
            return before  # this runs for every new child; a family that was adopted has another object
        if before is not None and before.definition.fits(definition):
            self._declare_again(before, definition, declared)
            return before
        if before is not None:
            self._retire(before)
        family = Family(self._next_family, definition, declared)
        family.generation = self._log.generation
        keys = self._log.write(pack_record(FAMILY, family.number, declared, definition.pack()))
        self.is_whole = False
        self._log.publish(keys)
        self._next_family += 1
        self.families[definition.local_key] = family
        self.is_whole = True
        return family

    def open_part(self, family: Family, part: str) -> Family:
        """Return a part of a family that is open, and declare it if this owner has not. Raises OSError."""
        opened = family.parts.get(part)
        if opened is None or opened.declared != family.declared:
            opened = family.parts[part] = self.open_family(family.definition.define_part(part), family.declared)
        return opened

    def _declare_again(self, family: Family, definition: Definition, declared: int) -> None:
        """Declare a family that was adopted, and keep its series. Raises OSError."""
        is_text_new = family.definition.descriptor.documentation != definition.descriptor.documentation
        kind, payload = (FAMILY, definition.pack()) if is_text_new else (DECLARED, b"")
        self._log.publish(self._log.write(pack_record(kind, family.number, declared, payload)))
        family.definition, family.declared = definition, declared
        self._count_waste()

    def _retire(self, family: Family) -> None:
        for part in list(family.parts.values()):  # first: a part must not outlive its owner
            self._retire(part)
            del family.parts[part.definition.part]
        keys = self._log.write(pack_record(RETIRED, family.number, 0))
        self.is_whole = False
        self._log.publish(keys)
        del self.families[family.definition.local_key]
        self.count_dropped(len(family.index))
        self.is_whole = True

    def reserve(self, family: Family, key: Key) -> tuple[int, Location]:
        """Return the number and the cells of a series; the cells are zeros unless it is published. Raises OSError."""
        number = family.index.get(key, -1)
        if number >= 0:
            return number, family.locate(number)
        family.free_removed(self._log.generation)
        number = family.removed.get(key, -1)
        if number < 0:
            if not family.free and family.used >= family.room:
                self._extend(family)
            number = family.free[-1] if family.free else family.used
        family.forget_inherited(number)
        cells, index = family.locate(number)
        for cell in range(index, index + family.stride):
            cells[cell] = 0.0
        return number, Location(cells, index)

    def publish(self, family: Family, key: Key, number: int) -> None:
        """Declare a reserved series, whose cells are written. Raises OSError; then it is not published."""
        if key in family.index:
            return
        is_known = key in family.removed
        keys = 0 if is_known else self._log.write(pack_record(SERIES, family.number, number, pack_key(key)))
        self.is_whole = False
        if is_known:
            del family.removed[key]
            self._header[CHANGES] += 2
        else:
            self._log.publish(keys)
            if family.free:
                family.free.pop()
            else:
                family.used += 1
        family.index[key] = number
        family.own((key,))
        self.is_whole = True

    def write_facts(self, family: Family, key: Key, facts: bytes) -> None:
        """Publish the facts of an info that is published. Raises OSError."""
        if family.facts.get(key) != facts:
            self._log.waste += key in family.facts
            self._log.publish(self._log.write(pack_record(FACTS, family.number, family.index[key], facts)))
            family.facts[key] = facts
            if self._log.waste > _MIN_WASTE:
                self._count_waste()

    def remove(self, family: Family, key: Key) -> None:
        """Remove a series and those of its parts; a series that is not published is no error."""
        if key in family.index:
            self._remove([(family, [key]), *((part, part.owned.get(key, [])) for part in family.parts.values())])

    def remove_parts(self, family: Family, key: Key) -> None:
        """Remove the series of its parts that belong to a series."""
        series = [(part, part.owned[key]) for part in family.parts.values() if key in part.owned]
        if series:
            self._remove(series)

    def _remove(self, series: Sequence[tuple[Family, list[Key]]]) -> None:
        waste = sum(len(keys) for _, keys in series)
        self.is_whole = False
        self._header[CHANGES] |= 1
        for family, keys in series:
            family.free_removed(self._log.generation)
            family.remove(keys)
        self._header[CHANGES] += 1
        self.is_whole = True
        self._count_waste(waste)

    def _extend(self, family: Family) -> None:
        wanted = family.choose_room()
        first = self._cells.allocate(wanted * family.stride)
        extent = Extent(family.room, wanted, first, self._cells.locate(first))
        keys = self._log.write(pack_record(EXTENT, family.number, first, pack_extent(wanted, extent.number)))
        self.is_whole = False
        self._log.publish(keys)
        family.extents.append(extent)
        self.is_whole = True

    def _count_waste(self, records: int = 1) -> None:
        """Count useless records, and rewrite the log if they are more than the series."""
        self._log.waste += records
        if self._log.waste > max(_MIN_WASTE, sum(len(family.index) for family in self.families.values())):
            with ignoring(OSError):  # no room for two logs: the old one is still valid
                self.rewrite_log()

    def rewrite_log(self) -> None:
        """Replace the log by one without the records of removed series. Raises OSError, and then changes nothing."""
        self._log.rewrite(b"".join(record for family in self.families.values() for record in family.pack_records()))
        for family in self.families.values():  # after an exception in between, the next use of the family does it
            family.free_removed(self._log.generation)
            family.facts = {key: facts for key, facts in family.facts.items() if key in family.index}

    def abandon(self) -> None:
        """Leave the slot for good, if it is still owned: the files of it that have their names count no more."""
        name = name_cells_file(self.number)
        with ignoring(OSError):
            if self._lock.is_open():
                self._cells_file.write(bytes(HEADER_BYTES), 0)  # for the workers that have the file open
                self._log.unlink()
                if self._directory.is_at(name, self._cells_file):
                    self._directory.unlink(name)
        self.close()

    def close(self) -> None:
        """Release the slot, which the next worker may adopt. What is mapped stays mapped."""
        self._log.close()
        self._cells_file.close()
        release_slot(self._lock)

    def __del__(self) -> None:
        with suppress(AttributeError):  # an exception of a signal handler may have interrupted `__init__`
            self.close()
