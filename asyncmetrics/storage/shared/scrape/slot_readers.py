"""Reading the arenas of all workers: their logs once, their cells at each reading, by ``pread`` alone.

*Rules.* Nobody's file is mapped to be read: a file that somebody cuts off would end the process that maps it. What
cannot be read is counted, and the last good reading of it stands in.

*Theory of operation.* A log is followed from where it was left, a slice at a time; what an owner has written anew is
followed beside what is known, which it replaces as a whole. The header is read before and after the cells of a family:
if the log was written anew in between, cells may have come to mean something else, and all is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import final

from asyncmetrics.storage.shared.files.directory import Directory
from asyncmetrics.storage.shared.files.log import SlotFamily
from asyncmetrics.storage.shared.files.slot_reader import SlotCells, SlotReader
from asyncmetrics.storage.shared.files.slots import MAX_SLOTS, is_refused
from asyncmetrics.storage.shared.pages import Spent

__all__ = ("SlotReaders",)


@final
class SlotReaders:
    """All slots of a directory, those that come later as well."""

    def __init__(self, directory: Directory | None, failed: Callable[[int, str], None]) -> None:
        self._directory = directory
        self._failed = failed
        self.spent = Spent()
        self._own: tuple[int, Callable[[int, int], bytes]] | None = None
        self._readers: dict[int, SlotReader] = {}

    def read_own(self, number: int, peek: Callable[[int, int], bytes]) -> None:
        """Read this process's slot by ``peek``, which lets no other thread count meanwhile, as ``pread`` does."""
        self._own = (number, peek)

    def all(self) -> list[SlotReader]:
        """Return the slots that there are, in order."""
        for number in range(MAX_SLOTS if self._directory else 0):
            if number not in self._readers and not self._open(number):
                break
        return [self._readers[number] for number in sorted(self._readers)]

    def anew(self) -> SlotReaders:
        """Return readers that know nothing yet."""
        readers = SlotReaders(self._directory, self._failed)
        readers._own = self._own
        return readers

    def _open(self, number: int) -> bool:
        assert self._directory is not None
        try:
            self._readers[number] = reader = SlotReader(self._directory, number, self.spent)
            if self._own is not None and self._own[0] == number:
                reader.peek = self._own[1]
        except FileNotFoundError:
            return False
        except OSError as error:
            self._failed(number, str(error))
            return is_refused(error)  # with this one there is something wrong; otherwise, with this process
        return True

    def sync(self) -> Iterator[None]:
        """Follow all logs to their ends, a slice at each step."""
        for reader in self.all():
            yield from reader.sync()
            if reader.problem:
                self._failed(reader.number, reader.problem)

    def read(self, reader: SlotReader, family: SlotFamily, room: int) -> Generator[tuple[()], None, SlotCells | None]:
        """Read the cells of a family, as `SlotReader.read` does, and count what goes wrong."""
        found = yield from reader.read(family, room)
        if reader.problem:
            self._failed(reader.number, reader.problem)
        return found

    def close(self) -> None:
        """Close all files."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()
