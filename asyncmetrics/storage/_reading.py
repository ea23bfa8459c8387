"""Reading the arenas of all workers: their logs once, their cells at each reading, by ``pread`` alone.

*Rules.* Nobody's file is mapped to be read: a file that somebody cuts off would end the process that maps it. What
cannot be read is counted, and the last good reading of it stands in.

*Theory of operation.* A log is followed from where it was left, a slice at a time; what an owner has written anew is
followed beside what is known, which it replaces as a whole. The header is read before and after the cells of a family:
if the log was written anew in between, cells may have come to mean something else, and all is read again.
"""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import final

from asyncmetrics.storage._directory import Directory, close_file
from asyncmetrics.storage._layout import (
    EXTENT,
    FACTS,
    FAMILY,
    FIRST_CELL,
    RETIRED,
    SERIES,
    WORDS_BYTES,
    CorruptError,
    Definition,
    Header,
    records,
    unpack_extent,
    unpack_key,
)
from asyncmetrics.storage._slots import MAX_SLOTS, cells_name, is_owned, is_refused, keys_name

__all__ = ("UNSTEADY", "SlotFamily", "SlotReader", "SlotReaders")

_TRIES = 5
_PIECE = 1 << 14  # bytes of a log that are read at once: half a millisecond's worth of parsing
UNSTEADY = -1
_ABSENT = bytes(8)  # a zero
_FETCHED = 1 << 20  # bytes of cells that are read at once


@final
class SlotFamily:
    """What one slot's log tells of a family: its series in order, their numbers, and where the cells are."""

    def __init__(self, number: int, definition: Definition) -> None:
        self.number = number
        self.definition = definition
        self.extents: list[tuple[int, int]] = []
        self.keys: list[tuple[str, ...]] = []
        self.numbers: list[int] = []
        self.facts: dict[int, bytes] = {}
        self.cells = array("d")
        self.room = 0  # one more than the largest number
        self._numbers: dict[tuple[str, ...], int] = {}  # as far as somebody has asked for one
        self._held = 0  # series that the extents have cells for
        self._seen: set[int] | None = None  # once series no longer come in the order of their numbers
        self._labels = len(definition.descriptor.all_labelnames)

    def index(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """Yield the series and their numbers."""
        return zip(self.keys, self.numbers, strict=True)

    def numbers_of(self, keys: Iterable[tuple[str, ...]] | None) -> list[int]:
        """Return the numbers of these series as far as they are there; None stands for all."""
        if keys is None:
            return self.numbers
        known = len(self._numbers)
        self._numbers.update(zip(self.keys[known:], self.numbers[known:], strict=True))
        return [self._numbers[key] for key in keys if key in self._numbers]

    def has_gaps(self) -> bool:
        """Tell whether any series is not there, by its cells as they were read."""
        presence = self.cells[self.definition.presence :: self.definition.stride].tobytes()
        at = presence.find(_ABSENT)
        while at >= 0 and at % 8:  # the end of one number and the beginning of the next
            at = presence.find(_ABSENT, at + 1)
        return at >= 0

    def cell(self, number: int) -> int:
        """Return the first cell of a series."""
        for first, room in self.extents:
            if number < room:
                return first + number * self.definition.stride
            number -= room
        raise CorruptError("a series without cells")

    def facts_of(self, number: int) -> Mapping[str, str]:
        """Return the facts of an info; none if they are not what was written."""
        with suppress(ValueError):
            facts = json.loads(self.facts.get(number, b"{}"))
            if isinstance(facts, dict):
                return facts
        return {}

    def take(self, kind: int, number: int, payload: bytes) -> None:
        """Follow a record of this family. Raises `CorruptError`."""
        if kind == SERIES:
            self._take_series(number, unpack_key(payload, self._labels))
        elif kind == EXTENT:
            self._take_extent(number, *unpack_extent(payload))
        elif kind == FACTS:
            self.facts[number] = payload

    def _take_extent(self, first: int, room: int, number: int) -> None:
        while self.extents and self._held > number:  # told of twice: its owner was interrupted
            self._held -= self.extents.pop()[1]
        if self._held != number:
            raise CorruptError("an extent that does not follow the others")
        self.extents.append((first, room))
        self._held += room

    def check(self, end: int) -> None:
        """Raise `CorruptError` unless all series have cells, and all cells are before ``end``."""
        stride = self.definition.stride
        outside = any(first < FIRST_CELL or first + room * stride > end for first, room in self.extents)
        if outside or self.room > self._held:
            raise CorruptError("series without cells")

    def _take_series(self, number: int, key: tuple[str, ...]) -> None:
        if number != self.room and self._seen is None:
            self._seen = set(self.numbers)
        if self._seen is not None:
            if number in self._seen:  # told of twice: its owner was interrupted
                return
            self._seen.add(number)
        self.keys.append(key)
        self.numbers.append(number)
        if number >= self.room:
            self.room = number + 1

    def fill_up(self) -> None:
        """Have cells for all series, zeros for those that could not be read."""
        size = self.room * self.definition.stride
        self.cells = self.cells + array("d", bytes(8 * max(0, size - len(self.cells))))

    def fetch(self, read: Callable[[int, int], bytes]) -> Generator[tuple[()], None, array[float]]:
        """Return the cells of all series, strung together, of which a part is read at each step.

        ``read`` takes an offset and a length in bytes. Raises `CorruptError` if the file is too short.
        """
        cells = array("d")
        series = self.room
        step = 0
        for first, room in self.extents:
            size = min(series, room) * self.definition.stride * 8
            found = read(first * 8, size)
            if len(found) != size:
                raise CorruptError("the file of cells is cut off")
            cells.frombytes(found)
            series -= min(series, room)
            step += size
            if step >= _FETCHED:
                yield ()
                step = 0
        if series:
            raise CorruptError("series without cells")
        return cells


@final
class Log:
    """One generation of a slot's log, as far as somebody has followed it."""

    def __init__(self, generation: int, descriptor: int) -> None:
        self.generation = generation
        self.parsed = 0
        self.families: dict[int, SlotFamily] = {}
        self.named: dict[tuple[str, str], list[SlotFamily]] = {}
        self._file = descriptor

    def follow(self, end: int) -> Iterator[None]:
        """Follow the log to ``end``, a slice at each step. Raises OSError and `CorruptError`."""
        while self.parsed < end:
            want = _PIECE
            before = self.parsed
            while self.parsed == before:  # a record may be longer than a piece
                data = os.pread(self._file, min(want, end - before), before)
                for kind, family, number, payload, end_of_record in records(data):
                    self._take(kind, family, number, payload)
                    self.parsed = before + end_of_record
                if self.parsed == before and len(data) < want:
                    raise CorruptError("the log of keys is cut off")
                want *= 4
            yield

    def _take(self, kind: int, family: int, number: int, payload: bytes) -> None:
        if kind in {FAMILY, RETIRED}:
            before = self.families.pop(family, None)
            if before is not None:
                self.named[before.definition.name].remove(before)
        if kind == FAMILY:
            self.families[family] = found = SlotFamily(family, Definition.unpack(payload))
            self.named.setdefault(found.definition.name, []).append(found)
        elif (known := self.families.get(family)) is not None:
            known.take(kind, number, payload)

    def close(self) -> None:
        """Close its file."""
        self._file = close_file(self._file)

    def __del__(self) -> None:
        self.close()


@final
class SlotReader:
    """One slot as it is read; ``problem`` says what is wrong with it, and is empty where nothing is.

    ``log`` is as ``header`` has it, or longer; a log of another generation takes its place once it is followed.
    """

    def __init__(self, directory: Directory, number: int) -> None:
        self.number = number
        self.problem = ""
        self.header: Header | None = None
        self.log = self._coming = Log(-1, -1)
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
        if log is not None and log.generation >= self.log.generation:
            self.header, self.log = header, log

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
        for log in (self.log, self._coming):
            if log.generation == header.generation and log.parsed <= header.key_bytes:
                return header, log
        descriptor = self.directory.open(keys_name(self.number, header.generation), os.O_RDONLY)
        self._coming = Log(header.generation, descriptor)
        return header, self._coming

    def read(self, family: SlotFamily) -> Generator[tuple[()], None, int | None]:
        """Read the cells of a family into ``family.cells``; None if the log has to be followed again first.

        Return which changes they show, `UNSTEADY` if series came or went meanwhile. Where they cannot be read those of
        the last time stay, and what was not there then is zero.
        """
        before, log = self.header, self.log
        if log.families.get(family.number) is not family:
            return None
        try:
            cells = yield from family.fetch(self.peek or self._pread)
            after = self._read_header()
        except (OSError, CorruptError) as error:
            self.problem = str(error)
            family.fill_up()
            return UNSTEADY
        if after is None or before is None or after.generation != log.generation:
            return None
        family.cells = cells
        return before.changes if after.changes == before.changes and not before.changes & 1 else UNSTEADY

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
        self.log.close()
        self._coming.close()

    def __del__(self) -> None:
        self.close()


@final
class SlotReaders:
    """All slots of a directory, those that come later as well."""

    def __init__(self, directory: Directory | None, failed: Callable[[int, str], None]) -> None:
        self._directory = directory
        self._failed = failed
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
            self._readers[number] = reader = SlotReader(self._directory, number)
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

    def read(self, reader: SlotReader, family: SlotFamily) -> Generator[tuple[()], None, int | None]:
        """Read the cells of a family, as `SlotReader.read` does, and count what goes wrong."""
        changes = yield from reader.read(family)
        if reader.problem:
            self._failed(reader.number, reader.problem)
        return changes

    def close(self) -> None:
        """Close all files."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()
