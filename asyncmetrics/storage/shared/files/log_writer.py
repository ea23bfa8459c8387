"""The log of keys that this process writes.

*Rules.* Write a record before you publish it. An exception of a signal handler may end any call here; the header then
names a log that is whole, as after a kill, and `LogWriter.read` reads it.

*Theory of operation.* The states of a log with generation ``g``:

1. *Current*: the header's word ``keys`` names ``g`` and its length. `LogWriter.write` writes a record behind that
   length, where no reader looks; the next one may overwrite it. `LogWriter.publish` stores the new length.
2. *Being rewritten*: `LogWriter.rewrite` writes the file of ``g + 1`` from the beginning. The word still names ``g``. A
   process that dies here leaves both files, and the next owner of the slot removes the one that is not current.
3. *Replaced*: one store makes the word name ``g + 1``. The file of ``g`` is removed. Readers that have it open can
   still read it, and find the new generation when they read the header next time.
"""

from __future__ import annotations

import errno
import os
from typing import final

from asyncmetrics.interruptions import ignoring, pass_interruption
from asyncmetrics.storage.shared.files.directory import Directory
from asyncmetrics.storage.shared.files.layout import KEYS, CorruptError, join_log_position, to_generation, to_log_bytes
from asyncmetrics.storage.shared.files.log import Log
from asyncmetrics.storage.shared.files.open_file import OpenFile
from asyncmetrics.storage.shared.files.records import MAX_PAYLOAD_BYTES
from asyncmetrics.storage.shared.files.slots import is_refused, name_log_file
from asyncmetrics.storage.shared.pages import UnusedPages

__all__ = ("LogWriter",)


@final
class LogWriter:
    """The writer of one slot's log. ``waste`` counts the records that a rewrite would leave out."""

    def __init__(self, directory: Directory) -> None:
        self.waste = 0
        self._directory = directory
        self._file = OpenFile()
        self._open_generation = -1  # that of the open file

    def create(self, slot: int) -> None:
        """Create the first log of a slot. Raises OSError, and `CorruptError` if something else is in its place."""
        name = name_log_file(slot, 0)
        self._directory.unlink(name)
        self._open_file(name, os.O_CREAT | os.O_EXCL).close()

    def open(self, slot: int, header: memoryview) -> None:
        """Continue the current log of a slot, whose header is mapped as ``header``.

        Raises OSError, and `CorruptError` if there is no log, or something else in its place.
        """
        self._slot = slot
        self._header = header
        generation = self.generation
        self._file = self._open_file(name_log_file(slot, generation), 0)
        self._open_generation = generation

    def _open_file(self, name: str, flags: int) -> OpenFile:
        try:
            return self._directory.open(name, os.O_RDWR | flags)
        except OSError as error:
            pass_interruption(error)
            if error.errno == errno.ENOENT or is_refused(error):
                raise CorruptError(f"{name}: {error.strerror}") from error
            raise

    def _open_current(self) -> None:
        """Open the log that the header names, if an exception has ended `rewrite` before it did so."""
        if self._open_generation != self.generation:
            self.open(self._slot, self._header)

    def read(self) -> tuple[Log, str]:
        """Return all that the current log declares, and why the end of it cannot be read, or an empty string.

        Count the records that a rewrite would leave out as waste.
        """
        self._open_current()
        log, problem = Log(self._open_generation, self._file, UnusedPages()), ""
        try:
            for _ in log.follow(to_log_bytes(self._header[KEYS])):
                pass
        except CorruptError as error:
            problem = str(error)
        self.waste = log.waste
        return log, problem

    @property
    def generation(self) -> int:
        """The generation that is current."""
        return to_generation(self._header[KEYS])

    def has_its_files(self) -> bool:
        """Return whether the file that is written to still has its name and its length; open it again if it is lost."""
        name, published = name_log_file(self._slot, self.generation), to_log_bytes(self._header[KEYS])
        with ignoring(OSError):
            if not self._file.is_open():
                self._directory.reopen(name, os.O_RDWR, self._file)
            return self._directory.is_at(name, self._file) and self._file.status().st_size >= published
        return False

    def get_file(self, generation: int) -> OpenFile | None:
        """Return the file that is written to, if it is the log of this generation."""
        return self._file if generation == self._open_generation else None

    def unlink(self) -> None:
        """Remove the file, if it still has its name."""
        name = name_log_file(self._slot, self.generation)
        if self._directory.is_at(name, self._file):
            self._directory.unlink(name)

    def write(self, record: bytes) -> int:
        """Write a record, and return the word ``keys`` that publishes it. Raises OSError if that is not possible."""
        keys: int = self._header[KEYS]
        if len(record) > MAX_PAYLOAD_BYTES:
            raise OSError(errno.EMSGSIZE, f"label values or facts of {len(record)} bytes")
        self._open_current()
        self._file.write(record, to_log_bytes(keys))
        return keys + len(record)

    def publish(self, keys: int) -> None:
        """Publish the record that was written last. Other workers read it from now on."""
        self._header[KEYS] = keys

    def rewrite(self, log: bytes) -> None:
        """Replace the log by the next generation, which holds ``log``. Raises OSError, and then nothing has changed."""
        generation = self.generation + 1
        name = name_log_file(self._slot, generation)
        self._directory.unlink(name)  # an interrupted rewrite may have left it
        file = self._directory.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            file.write(log, 0)
        except OSError:
            file.close()
            self._directory.unlink(name)
            raise
        self._header[KEYS] = join_log_position(generation, len(log))  # from now on `write` opens this generation
        self._file, self.waste = file, 0  # a reader of this slot may still use the file of before
        self._open_generation = generation
        self._directory.unlink(name_log_file(self._slot, generation - 1))

    def remove_others(self) -> None:
        """Remove what an owner left that died while it rewrote the log: the generations before and after this one."""
        for other in (self.generation - 1, self.generation + 1):
            self._directory.unlink(name_log_file(self._slot, other))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
