"""Reading one slot: each record of its log once, its cells at each scrape.

*Rules.* Read with ``pread``, and map no file of another process: if that process truncates a mapped file, the reader
dies of SIGBUS. Allow several callers to follow the log in turn, one step at a time.

*Theory of operation.* The states of a slot's reader:

1. *New*: ``header`` is None and ``log`` is an empty one.
2. *Following*: `SlotReader.sync` has read the header and parses the log that it names, step by step. If the owner has
   rewritten the log, that is a second one beside ``log``, and ``log`` stays unchanged until the end of the new one.
3. *In sync*: ``header`` is the one that was read at the start of 2, and ``log`` is the log that it names, with at least
   as many bytes parsed. An older log is discarded. `SlotReader.read` reads cells, and the header again after them. If
   that names the same generation, the cells belong to the series of ``log``. If not, the owner may have reused cells
   for other series in between: `read` returns None, and the caller goes back to 2.
4. *Failed*: ``problem`` says why 2 or 3 was not possible. If a log was read before, ``header`` and ``log`` stay
   unchanged; else ``log`` has what could be parsed. `read` returns the last cells that it could read. The next `sync`
   starts again with 2.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple, final

from asyncmetrics.interruptions import ignoring, pass_interruption
from asyncmetrics.storage.shared.files.directory import Directory
from asyncmetrics.storage.shared.files.layout import WORDS_BYTES, CorruptError, Header, UnknownLayoutError
from asyncmetrics.storage.shared.files.log import Log
from asyncmetrics.storage.shared.files.open_file import OpenFile
from asyncmetrics.storage.shared.files.slot_family import CellPages, SlotFamily
from asyncmetrics.storage.shared.files.slots import is_owned, name_cells_file, name_log_file
from asyncmetrics.storage.shared.pages import UnusedPages

__all__ = ("UNSTEADY", "OwnFiles", "SlotCells", "SlotReader")

UNSTEADY = -1
"""Stands for the header's ``changes`` where series came or went while the cells were read."""

_OPEN_ATTEMPTS = 5  # each fails only if the owner rewrites its log between reading the header and opening the log


@final
class SlotCells(NamedTuple):
    """The cells of a family in one slot, and the header's ``changes`` at that time, or `UNSTEADY`."""

    cells: CellPages
    changes: int


@final
class OwnFiles(NamedTuple):
    """The files of this process's own slot, which are open already, so that they can be read without new descriptors.

    ``get_log`` returns the log of a generation, if it is open. ``peek`` reads the cells: other threads cannot count
    during it, as they could during ``pread``, which releases the interpreter's lock.
    """

    number: int
    cells: OpenFile
    get_log: Callable[[int], OpenFile | None]
    peek: Callable[[int, int], bytes]


@final
class SlotReader:
    """The reader of one slot, in the states that the module describes; ``problem`` is empty if nothing is wrong.

    ``has_unknown_layout`` is whether the slot is one of another version of the library. The pages of discarded families
    go to ``unused``. ``own`` has the files if the slot is this process's own.
    """

    def __init__(
        self, directory: Directory, number: int, unused: UnusedPages | None = None, own: OwnFiles | None = None
    ) -> None:
        self._cells_file = own.cells if own else directory.open(name_cells_file(number), os.O_RDONLY)
        self.number = number
        self.problem = ""
        self.has_unknown_layout = False
        self.header: Header | None = None
        self.unused = unused or UnusedPages()
        self.log = Log(-1, OpenFile(), self.unused)
        self._logs = [self.log]  # ``log``, and those that a `sync` follows
        self.directory = directory
        self._own = own

    def sync(self) -> Iterator[None]:
        """Follow the log to its end, a slice at each step; set ``problem`` if that fails.

        Several callers may do so in turn, step by step.
        """
        log = header = None
        try:
            self.problem = ""
            header, log = self._open_log()
            if header is not None:
                yield from log.follow(header.log_bytes)
        except (OSError, CorruptError) as error:
            pass_interruption(error)
            self.problem, self.has_unknown_layout = str(error), isinstance(error, UnknownLayoutError)
        # Keep a log that was read if the new one cannot be read: then the last cells are exposed.
        is_worse = bool(self.problem) and log is not self.log and self.log.generation >= 0
        if log is not None and log in self._logs and log.generation >= self.log.generation and not is_worse:
            self.header, self.log = header, log
        for older in [one for one in self._logs if one is not self.log and one.generation <= self.log.generation]:
            self._logs.remove(older)
            older.discard()

    def try_read_header(self) -> Header | None:
        """Return the present header, or None if it cannot be read; change nothing here."""
        with ignoring(OSError, CorruptError):
            return self._read_header()
        return None

    @property
    def is_outdated(self) -> bool:
        """Whether the slot cannot be read, and another file has its name."""
        if self._own is not None or (self.header is not None and not self.problem):
            return False
        return not self.directory.is_at(name_cells_file(self.number), self._cells_file)

    def _read_header(self) -> Header | None:
        return Header.unpack(self._read(0, WORDS_BYTES))

    def _open_log(self) -> tuple[Header | None, Log]:
        """Return the header and the log that it names."""
        for _ in range(_OPEN_ATTEMPTS - 1):
            with ignoring(FileNotFoundError):  # the owner has just rewritten the log and removed the old one
                return self._try_open_log()
        return self._try_open_log()

    def _try_open_log(self) -> tuple[Header | None, Log]:
        header = self._read_header()
        if header is None:
            return None, self.log
        for log in self._logs:
            if log.generation == header.generation and log.parsed_bytes <= header.log_bytes:
                if log.parsed_bytes < header.log_bytes and not log.is_open():
                    continue
                return header, log
        file = self._own and self._own.get_log(header.generation)
        if file is None:
            file = self.directory.open(name_log_file(self.number, header.generation), os.O_RDONLY)
        log = Log(header.generation, file, self.unused)
        self._logs = [one for one in self._logs if one.generation != header.generation or one is self.log] + [log]
        return header, log

    def read(self, family: SlotFamily, room: int) -> Generator[tuple[()], None, SlotCells | None]:
        """Return the cells of a family's first ``room`` series, or None if the log must be followed again first.

        If they cannot be read, return those of the last time, with zeros for the series that are new since.
        """
        before, log = self.header, self.log
        if log.families.get(family.number) is not family:
            return None
        try:
            cells = yield from family.read_cells(self._own.peek if self._own else self._read, room)
            after = self._read_header()
        except (OSError, CorruptError) as error:
            pass_interruption(error)
            self.problem = str(error)
            return SlotCells(family.get_last_cells(room), UNSTEADY)
        if after is None or before is None or after.generation != log.generation:
            return None
        self.unused.add([family.cells])
        family.cells = cells[:]  # a copy of the list: the caller passes its own to an `UnusedPages`
        is_steady = after.changes == before.changes and not before.changes & 1
        return SlotCells(cells, before.changes if is_steady else UNSTEADY)

    def read_series(self, family: SlotFamily, number: int, count: int) -> bytes:
        """Return ``count`` cells from the first one of a series on, as they are now. Raises OSError and `CorruptError`.

        The owner may have rewritten its log since the family was read: then they may be those of another series.
        """
        return (self._own.peek if self._own else self._read)(8 * family.locate_cell(number), 8 * count)

    def _read(self, offset: int, length: int) -> bytes:
        try:
            return self._cells_file.read(length, offset)
        except OSError as error:
            pass_interruption(error)
            self._open_again(error)
        return self._cells_file.read(length, offset)

    def _open_again(self, error: OSError) -> None:
        """Open the file of cells again if ``error`` means that it is lost; else raise ``error``."""
        try:
            if error.errno != errno.EBADF or self._own is not None or not self._cells_file.is_lost:
                raise error
        finally:
            del error  # see `pass_interruption`
        self.directory.reopen(name_cells_file(self.number), os.O_RDONLY, self._cells_file)

    @property
    def is_live(self) -> bool:
        """Whether the slot's owner lives."""
        if self._own is not None:
            return True
        try:
            return is_owned(self._cells_file)
        except OSError as error:
            pass_interruption(error)
            with ignoring(OSError):
                self._open_again(error)
                return is_owned(self._cells_file)
        return False

    def close(self) -> None:
        """Close the slot's files, unless they are this process's own."""
        if self._own is not None:
            return
        self._cells_file.close()
        for log in self._logs:
            log.close()
