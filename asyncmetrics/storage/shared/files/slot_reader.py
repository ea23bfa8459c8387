"""Reading one slot: its log once, its cells at each reading, by ``pread`` alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import NamedTuple, final

from asyncmetrics.storage.shared.files.directory import Directory, close_file
from asyncmetrics.storage.shared.files.layout import WORDS_BYTES, CorruptError, Header
from asyncmetrics.storage.shared.files.log import Cells, Log, SlotFamily
from asyncmetrics.storage.shared.files.slots import cells_name, is_owned, keys_name
from asyncmetrics.storage.shared.pages import Spent

__all__ = ("UNSTEADY", "SlotCells", "SlotReader")


_TRIES = 5


UNSTEADY = -1


@final
class SlotCells(NamedTuple):
    """The cells of a family in one slot; ``changes`` is the header's, `UNSTEADY` if series came or went meanwhile."""

    cells: Cells
    changes: int


@final
class SlotReader:
    """One slot as it is read; ``problem`` says what is wrong with it, and is empty where nothing is.

    ``log`` is as ``header`` has it, or longer; a log of another generation takes its place once it is followed. What is
    of no more use then goes to ``spent``.
    """

    def __init__(self, directory: Directory, number: int, spent: Spent | None = None) -> None:
        self.number = number
        self.problem = ""
        self.header: Header | None = None
        self.spent = spent or Spent()
        self.log = Log(-1, -1, self.spent)
        self._logs = [self.log]  # this one, and those that are being followed
        self.peek: Callable[[int, int], bytes] | None = None
        self.directory = directory
        self._cells_file = -1
        self._cells_file = directory.open(cells_name(number), os.O_RDONLY)

    def sync(self) -> Iterator[None]:
        """Follow the log to its end, a slice at each step; what goes wrong is left in ``problem``.

        Several may do so at a time, step by step.
        """
        log = header = None
        try:
            self.problem = ""
            header, log = self._opened()
            if header is not None:
                yield from log.follow(header.key_bytes)
        except (OSError, CorruptError) as error:
            self.problem = str(error)
        # A new log that cannot be read does not take the place of a good one, whose last counts stand in.
        is_worse = bool(self.problem) and log is not self.log and self.log.generation >= 0
        if log is not None and log in self._logs and log.generation >= self.log.generation and not is_worse:
            self.header, self.log = header, log
        for older in [one for one in self._logs if one is not self.log and one.generation <= self.log.generation]:
            self._logs.remove(older)
            older.retire()

    def glance(self) -> Header | None:
        """Return the header alone, None where it cannot be read."""
        with suppress(OSError, CorruptError):
            return self._read_header()
        return None

    def _read_header(self) -> Header | None:
        return Header.unpack(os.pread(self._cells_file, WORDS_BYTES, 0))

    def _opened(self) -> tuple[Header | None, Log]:
        """Return the header and the log that it names."""
        for _ in range(_TRIES - 1):
            with suppress(FileNotFoundError):  # written anew this moment
                return self._open()
        return self._open()

    def _open(self) -> tuple[Header | None, Log]:
        header = self._read_header()
        if header is None:
            return None, self.log
        for log in self._logs:
            if log.generation == header.generation and log.parsed <= header.key_bytes:
                return header, log
        descriptor = self.directory.open(keys_name(self.number, header.generation), os.O_RDONLY)
        log = Log(header.generation, descriptor, self.spent)
        self._logs = [one for one in self._logs if one.generation != header.generation or one is self.log] + [log]
        return header, log

    def read(self, family: SlotFamily, room: int) -> Generator[tuple[()], None, SlotCells | None]:
        """Read the cells of a family's first ``room`` series; None if the log has to be followed again first.

        Where they cannot be read those of the last time are returned, with zeros for what was not there then.
        """
        before, log = self.header, self.log
        if log.families.get(family.number) is not family:
            return None
        try:
            cells = yield from family.fetch(self.peek or self._pread, room)
            after = self._read_header()
        except (OSError, CorruptError) as error:
            self.problem = str(error)
            return SlotCells(family.known(room), UNSTEADY)
        if after is None or before is None or after.generation != log.generation:
            return None
        self.spent.add([family.cells])
        family.cells = cells[:]
        return SlotCells(
            cells, before.changes if after.changes == before.changes and not before.changes & 1 else UNSTEADY
        )

    def _pread(self, offset: int, length: int) -> bytes:
        found = os.pread(self._cells_file, length, offset)
        while 0 < len(found) < length:
            more = os.pread(self._cells_file, length - len(found), offset + len(found))
            if not more:
                break
            found += more
        return found

    @property
    def is_live(self) -> bool:
        """Whether the slot's owner lives."""
        return is_owned(self._cells_file)

    def close(self) -> None:
        """Close its files."""
        self._cells_file = close_file(self._cells_file)
        for log in self._logs:
            log.close()

    def __del__(self) -> None:
        self.close()
