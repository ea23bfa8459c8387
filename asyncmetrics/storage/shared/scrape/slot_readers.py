"""The readers of all slots of a directory, whose logs are followed once and whose cells are read at each scrape.

*Rules.* Count and log a slot that cannot be read, and expose the last cells that could be read. Raise nothing because
of it. Count and log an unknown layout once: its slots are not damaged. For how one slot is read see
`asyncmetrics.storage.shared.files.slot_reader`.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator, Iterator
from typing import final

from asyncmetrics.interruptions import ignoring, pass_interruption
from asyncmetrics.storage.shared.files.directory import Directory
from asyncmetrics.storage.shared.files.slot_family import SlotFamily
from asyncmetrics.storage.shared.files.slot_reader import OwnFiles, SlotCells, SlotReader
from asyncmetrics.storage.shared.files.slots import MAX_SLOTS, is_refused, name_cells_file
from asyncmetrics.storage.shared.pages import UnusedPages
from asyncmetrics.storage.shared.scrape.newest import NewestFamilies

__all__ = ("SlotReaders",)


@final
class SlotReaders:
    """The readers of all slots of a directory, also of slots that are made later; None stands for no slots.

    ``count_error`` is called with the number of a slot that cannot be read, and the problem. ``unused`` has the pages
    that the readers need no longer.
    """

    def __init__(self, directory: Directory | None, count_error: Callable[[int, str], None]) -> None:
        self._directory = directory
        self._count_error = count_error
        self.unused = UnusedPages()
        self._own: OwnFiles | None = None
        self._readers: dict[int, SlotReader] = {}
        self._newest: dict[str, NewestFamilies] = {}  # by the registry's space
        self._unknown_layouts: set[str] = set()  # the problems that are counted
        self._refused: dict[int, tuple[int, int] | None] = {}  # what is in a slot's place and cannot be opened

    def read_own(self, own: OwnFiles) -> None:
        """Read this process's own slot through the files that it has open, also where no more can be opened."""
        self._own = own
        if self._directory is not None:
            self._readers[own.number] = SlotReader(self._directory, own.number, self.unused, own)

    def list_readers(self) -> list[SlotReader]:
        """Return the readers of all slots that exist, in the order of their numbers."""
        for number in range(MAX_SLOTS if self._directory else 0):
            if number not in self._readers and not self._open(number):
                break  # workers take the lowest free slot, so no slot comes after one that does not exist
        return self._list_open()

    def _list_open(self) -> list[SlotReader]:
        return [self._readers[number] for number in sorted(self._readers)]

    def choose_newest(self, space: str) -> NewestFamilies:
        """Return the families of a registry that count, by what is known of the logs since the last `sync`."""
        readers = self._list_open()
        newest = self._newest.get(space)
        if newest is None or not newest.is_current(readers):
            newest = self._newest[space] = NewestFamilies(readers, space)
        return newest

    def renew(self) -> SlotReaders:
        """Return new readers of the same directory, which have followed no log yet."""
        readers = SlotReaders(self._directory, self._count_error)
        readers._refused, readers._unknown_layouts = self._refused, self._unknown_layouts
        if self._own is not None:
            readers.read_own(self._own)
        return readers

    def _open(self, number: int) -> bool:
        """Open a slot; return whether there may be a next one."""
        assert self._directory is not None
        if number in self._refused and self._refused[number] == self._directory.identify(name_cells_file(number)):
            return True
        try:
            self._readers[number] = SlotReader(self._directory, number, self.unused)
        except OSError as error:
            pass_interruption(error)
            if error.errno == errno.ENOENT:
                return False
            problem = self._directory.find_problem()
            self._count_error(number, problem or str(error))
            if problem or not is_refused(error):
                return False  # an error of this process, which would have it for each slot
            self._refused[number] = self._directory.identify(name_cells_file(number))
        return True

    def sync(self) -> Iterator[None]:
        """Follow all logs to their ends, a slice at each step."""
        for known in self.list_readers():
            yield from known.sync()
            reader = known
            if known.is_outdated:
                reader = self._open_again(known)
                yield from reader.sync()
            if reader.problem and reader.problem not in self._unknown_layouts:
                self._count_error(reader.number, reader.problem)
            if reader.has_unknown_layout:
                self._unknown_layouts.add(reader.problem)

    def _open_again(self, reader: SlotReader) -> SlotReader:
        """Return a new reader for the slot, or the old one if the files cannot be opened."""
        assert self._directory is not None
        with ignoring(OSError):
            new = SlotReader(self._directory, reader.number, self.unused)
            if self._readers.get(reader.number) is reader:
                self._readers[reader.number] = new
            return new
        return reader

    def read(self, reader: SlotReader, family: SlotFamily, room: int) -> Generator[tuple[()], None, SlotCells | None]:
        """Read the cells of a family, as `SlotReader.read` does, and count an error."""
        cells = yield from reader.read(family, room)
        if reader.problem:
            self._count_error(reader.number, reader.problem)
        return cells

    def close(self) -> None:
        """Close all files."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()
        self._newest.clear()
