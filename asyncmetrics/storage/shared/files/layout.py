"""How an arena is laid out in its files: the header's words, the cells of a series, the records of the log of keys.

*Rules.* All numbers are in the machine's own order and on multiples of eight bytes, so that each is stored and read
whole. What a reader may look at is told by one word, stored last: a process that is killed between any two steps leaves
nothing half told. The log is only appended to; a log that is written anew is another file with another generation.

*Theory of operation.* ``s<k>.cells`` begins with a page of words, `Header`; doubles follow. ``s<k>.keys.<g>`` is a log
of records: a *family* with its definition, an *extent* of cells for so many series of a family from some number on, a
*series* with its number in the family and its label values, the *facts* of an info, a family that is *retired*. Each
may be there twice, as its writer may be interrupted by an exception and begin again. Series number ``n`` of a family
has the ``n``-th group of cells in the family's extents, strung together. The last cells of a group tell how it is with
the series:

========== ============================================================================
counter    value, created
gauge      value, set
summary    count, sum, created
histogram  a count for each bucket (not cumulative), sum, created
info       0, set
stateset   index of the state, set
========== ============================================================================

*created* and *set* are Unix times; 0 means that the series is not there (any more), and 1 in *set* that it never was
set. Families whose series go stale have one cell more: when the numbers last changed, on the system's monotonic clock.
"""

from __future__ import annotations

import json
import struct
import sys
from typing import NamedTuple, Protocol, final

from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.kinds import KINDS

__all__ = (
    "CELLS",
    "CHANGES",
    "DROPPED",
    "EPOCH",
    "ERRORS",
    "FIRST_CELL",
    "HEADER_BYTES",
    "IDLE",
    "KEYS",
    "MAGIC",
    "NEVER_SET",
    "PID",
    "START",
    "WORDS_BYTES",
    "Cells",
    "CorruptError",
    "Definition",
    "Doubles",
    "Header",
    "generation_of",
    "key_position",
    "length_of",
)

HEADER_BYTES = 4096
FIRST_CELL = HEADER_BYTES // 8
MAGIC = int.from_bytes(b"amarena1", sys.byteorder)
CANARY = 0x0123_4567_89AB_CDEF
NEVER_SET = 1.0

# The words of the header, by their index.
PID, START, EPOCH, CELLS, KEYS, DROPPED, CHANGES, ERRORS, IDLE = 1, 2, 3, 4, 5, 8, 9, 10, 11
_WORDS = struct.Struct("=12Q")
WORDS_BYTES = _WORDS.size
_GENERATION_SHIFT = 40


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
    """Tell that a file does not hold what its place says."""


@final
class Header(NamedTuple):
    """The first words of an arena.

    ``epoch`` goes up by two at each adoption and is odd meanwhile; nothing of an adoption harms a reader. ``keys`` is
    the generation of the log and how many of its bytes may be read, in one word. ``changes`` goes
    up by two when a series appears or vanishes without a record, and is odd while one vanishes; ``idle`` is 1 for the
    arena of a supervisor, which serves nothing itself.
    """

    magic: int
    pid: int
    start: int
    epoch: int
    cells: int
    keys: int
    canary: int
    created: int
    dropped: int
    changes: int
    errors: int
    idle: int

    @classmethod
    def unpack(cls, data: bytes) -> Header | None:
        """Read the header; None for an arena that is not made yet. Raises `CorruptError` for anything else."""
        if len(data) >= 8 and data[:8] != bytes(8) and len(data) < _WORDS.size:
            raise CorruptError("the header is cut off")
        if len(data) < 8 or data[:8] == bytes(8):
            return None
        header = cls(*_WORDS.unpack_from(data))
        if header.magic != MAGIC or header.canary != CANARY:
            raise CorruptError("this is no arena of this version")
        return header

    def pack(self) -> bytes:
        """Write the header as it stands in the file."""
        return _WORDS.pack(*self)

    @property
    def generation(self) -> int:
        """Which log of keys is the one that counts."""
        return generation_of(self.keys)

    @property
    def key_bytes(self) -> int:
        """How much of that log may be read."""
        return length_of(self.keys)


def generation_of(keys: int) -> int:
    """Return the generation that the word ``keys`` names."""
    return keys >> _GENERATION_SHIFT


def length_of(keys: int) -> int:
    """Return how many bytes of the log the word ``keys`` publishes."""
    return keys & ((1 << _GENERATION_SHIFT) - 1)


def key_position(generation: int, key_bytes: int) -> int:
    """Write a generation of the log and its length as one word."""
    return generation << _GENERATION_SHIFT | key_bytes


@final
class Definition(NamedTuple):
    """What the log says of a family.

    ``space`` tells registries apart that have one storage, ``copy`` metrics of one name that one process made one after
    the other, ``ages`` whether its series go stale, ``declared`` when the record was written.
    """

    space: str
    copy: int
    ages: bool
    descriptor: Descriptor
    declared: float = 0.0

    @property
    def name(self) -> tuple[str, str]:
        """What families of several workers are put together by."""
        return self.space, self.descriptor.name

    @property
    def place(self) -> tuple[str, str, int]:
        """What a worker finds its part by when it adopts a slot."""
        return self.space, self.descriptor.name, self.copy

    @property
    def presence(self) -> int:
        """The index of the cell that tells whether a series is there."""
        return self._group - 1

    @property
    def stride(self) -> int:
        """How many cells a series has."""
        return self._group + self.ages

    @property
    def _group(self) -> int:
        return len(self.descriptor.buckets) + KINDS[self.descriptor.kind].cells

    def pack(self) -> bytes:
        """Write the definition as JSON."""
        d = self.descriptor
        shape = [d.labelnames, d.contextnames, d.unit, d.buckets[:-1], d.states, d.mode, self.declared]
        return json.dumps([self.space, self.copy, self.ages, d.kind, d.name, d.documentation, *shape]).encode()

    @classmethod
    def unpack(cls, payload: bytes) -> Definition:
        """Read a definition. Raises `CorruptError` for one of another make."""
        try:
            space, copy, ages, kind, name, text, names, context, unit, buckets, states, mode, at = json.loads(payload)
            bounds = (*map(float, buckets), float("inf")) if kind == "histogram" else ()
            descriptor = Descriptor(kind, name, text, tuple(names), tuple(context), unit, bounds, tuple(states), mode)
            return cls._check(cls(space, int(copy), bool(ages), descriptor, float(at)))
        except (ValueError, TypeError, KeyError) as error:
            raise CorruptError(f"no definition of a family: {error}") from None

    @classmethod
    def _check(cls, found: Definition) -> Definition:
        if found.stride > 0 and found.descriptor.list_rows() is not None:
            return found
        raise CorruptError("no definition of a family")
