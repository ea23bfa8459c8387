"""How an arena is laid out in its two files: the words of the header, the cells of a series, the name of the log.

*Rules.*

* Store all numbers in the machine's byte order, at multiples of eight bytes: then each is stored and read whole.
* Publish with one word, stored last. A process that is killed between any two steps then leaves nothing half published.
* Append to a log, and change nothing in it. To rewrite a log, write another file with the next generation.

*Theory of operation.* Slot ``k`` has two files:

1. ``s<k>.cells`` begins with a page of words, `Header`. Doubles, the *cells*, fill the rest.
2. ``s<k>.keys.<g>`` is the log of keys in its generation ``g``, a sequence of records
   (`asyncmetrics.storage.shared.files.records`). A record declares a *family* with its definition, an *extent* of cells
   for a number of series of a family, a *series* with its number in the family and its label values, the *facts* of an
   info, that a family is *retired*, or that it is *declared* again.

The extents of a family, one after the other, hold the cells of its series in the order of their numbers: the cells of
number 0, those of number 1, and so on. A series has these cells:

========== ============================================================================
counter    value, created
gauge      value, set
summary    count, sum, created
histogram  a count for each bucket (not cumulative), sum, created
info       0, set
stateset   index of the state, set
========== ============================================================================

The last of them is the *presence*: *created* and *set* are Unix times, and 0 means that the series does not exist (any
more). A *set* of 1 means that the series exists and was never set. Series that expire have one cell more: when their
numbers last changed, on the system's monotonic clock.

A metric may have *parts*, which are families too. Each series of a part belongs to a series of the metric, its *owner*,
and exists only as long as that. Its key is that of the owner and one text more. It has these cells, and no others:

========== ============================================================================
buckets    a block of buckets of a native histogram: schema, zero threshold, `PAIRS`
           times a key (`asyncmetrics.model.native`) and a count, set
exemplars  the ids of a trace and a span as four numbers, value, time, place, check,
           set (`asyncmetrics.storage.shared.files.exemplar_cells`)
========== ============================================================================

*Terms.* The *room* of an extent or a family is the number of series that it has cells for; of a family in a log, it is
one more than the largest number of its series. A family has *gaps* if some of its series do not exist (any more). A
family *ages* if its series expire. Pages are *unused* if their owner needs them no longer
(`asyncmetrics.storage.shared.pages`). A worker is *idle* if it is a supervisor, which serves nothing itself.
"""

from __future__ import annotations

import struct
import sys
from typing import NamedTuple, Protocol, final

__all__ = (
    "CANARY",
    "CELLS",
    "CHANGES",
    "DROPPED",
    "ERRORS",
    "FIRST_CELL",
    "FIRST_DECLARED",
    "HEADER_BYTES",
    "IDLE",
    "KEYS",
    "LAST_DECLARED",
    "MAGIC",
    "NEVER_SET",
    "PID",
    "SCRAPES",
    "START",
    "WORDS_BYTES",
    "Cells",
    "CorruptError",
    "Doubles",
    "Header",
    "UnknownLayoutError",
    "join_log_position",
    "to_generation",
    "to_log_bytes",
)

HEADER_BYTES = 4096  # a page of memory; the words of today fill 112 bytes of it
FIRST_CELL = HEADER_BYTES // 8
_MAGIC_BYTES = b"amarena3"  # the last character is the version of the layout
MAGIC = int.from_bytes(_MAGIC_BYTES, sys.byteorder)
CANARY = 0x0123_4567_89AB_CDEF  # a file from a machine with the other byte order has it reversed
NEVER_SET = 1.0

# The words of the header, by their index. `Header` says what each is.
PID, START, FIRST_DECLARED, CELLS, KEYS, DROPPED, CHANGES, ERRORS, IDLE, LAST_DECLARED = 1, 2, 3, 4, 5, 8, 9, 10, 11, 12
SCRAPES = 13
_WORDS = struct.Struct("=14Q")
WORDS_BYTES = _WORDS.size
_GENERATION_SHIFT = 40  # the word ``keys`` has 40 bits for the length, 1 TiB, and 24 for 16 million generations


class Cells(Protocol):
    """What a child writes its numbers to."""

    def __setitem__(self, index: int, value: float, /) -> None:
        """Store a number."""
        ...


class Doubles(Cells, Protocol):
    """A view of mapped cells."""

    def __getitem__(self, index: int, /) -> float:
        """Return a number."""
        ...


class CorruptError(ValueError):
    """Raised for a file whose content is not what its name says."""


@final
class UnknownLayoutError(CorruptError):
    """Raised for a slot of another version of the library, whose workers share among themselves."""

    def __init__(self, magic: bytes) -> None:
        theirs, ours = magic[-1:].decode("latin-1"), _MAGIC_BYTES[-1:].decode()
        super().__init__(
            f"it has layout {theirs!a} of another version of asyncmetrics, whose workers share among themselves; "
            f"this version uses layout {ours!a} (later slots of layout {theirs!a} are not logged)"
        )


@final
class Header(NamedTuple):
    """The first words of an arena.

    ``pid`` and ``start`` identify the owner: its process id, and when it started (`read_start_time`). ``cells`` is the
    end of the cells that are in use. ``keys`` holds the generation of the log and how many of its bytes are published,
    in one word. ``created`` is the Unix time at which the arena was made.
    ``dropped`` counts series that were lost, ``errors`` slots that the owner could not read or use. ``changes`` grows
    by two when a series appears or disappears without a record, and is odd while one disappears. ``idle`` is 1 if the
    owner is a supervisor, which serves nothing itself. ``first_declared`` is the smallest number of a declaration
    of the owner, and ``last_declared`` the largest of any owner (`asyncmetrics.storage.shared.scrape.newest`).
    ``scrapes`` counts the scrapes that owners have answered (`asyncmetrics.storage.shared.scrape_watch`).
    """

    magic: int
    pid: int
    start: int
    first_declared: int
    cells: int
    keys: int
    canary: int
    created: int
    dropped: int
    changes: int
    errors: int
    idle: int
    last_declared: int
    scrapes: int

    @classmethod
    def unpack(cls, data: bytes) -> Header | None:
        """Read the header; None if the arena is not made yet. Raises `CorruptError` for anything else."""
        magic = data[:8]
        if len(data) < 8 or magic == bytes(8):
            return None
        if magic != _MAGIC_BYTES and magic[:-1] == _MAGIC_BYTES[:-1]:
            raise UnknownLayoutError(magic)
        if magic != _MAGIC_BYTES:
            raise CorruptError("this is no arena")
        if len(data) < _WORDS.size:
            raise CorruptError("the header is cut off")
        header = cls(*_WORDS.unpack_from(data))
        if header.canary != CANARY:
            raise CorruptError("this is no arena of this machine")
        return header

    @property
    def generation(self) -> int:
        """The generation of the log that is valid."""
        return to_generation(self.keys)

    @property
    def log_bytes(self) -> int:
        """How many bytes of that log are published."""
        return to_log_bytes(self.keys)


def to_generation(keys: int) -> int:
    """Return the generation of the log that the word ``keys`` names."""
    return keys >> _GENERATION_SHIFT


def to_log_bytes(keys: int) -> int:
    """Return how many bytes of the log the word ``keys`` publishes."""
    return keys & ((1 << _GENERATION_SHIFT) - 1)


def join_log_position(generation: int, log_bytes: int) -> int:
    """Return the word ``keys`` for a generation of the log and its published length."""
    return generation << _GENERATION_SHIFT | log_bytes
