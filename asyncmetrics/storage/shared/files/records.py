"""The records of a slot's log of keys: how one is written, and how a piece of the log is read.

A record is a head of 24 bytes, a payload, and zeros up to the next multiple of eight bytes. The head holds the length
of the payload, a CRC-32 of all that follows these two words, the kind of record, the number of the family, and one more
number:

======== ================================ =================================
kind     number                           payload
======== ================================ =================================
FAMILY   the number of the declaration    the definition (`Definition.pack`)
EXTENT   the extent's first cell          `pack_extent`
SERIES   the series' number in the family its label values (`pack_key`)
FACTS    the series' number in the family the facts of an info, as JSON
RETIRED  0                                nothing
DECLARED the number of the declaration    nothing
======== ================================ =================================
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TypeAlias
from zlib import crc32

from asyncmetrics.storage.shared.files.layout import CorruptError

__all__ = (
    "DECLARED",
    "EXTENT",
    "FACTS",
    "FAMILY",
    "MAX_PAYLOAD_BYTES",
    "RETIRED",
    "SERIES",
    "Record",
    "pack_extent",
    "pack_record",
    "read_records",
    "unpack_extent",
)

# The kinds of records.
FAMILY, EXTENT, SERIES, FACTS, RETIRED, DECLARED = 1, 2, 3, 4, 5, 6

MAX_PAYLOAD_BYTES = 1 << 24  # 16 MiB; a damaged length is mostly larger, and would make a reader wait for that much

_HEAD = struct.Struct("=IIIIQ")  # length of the payload, CRC, kind, family, number
_CRC_START = 8  # the CRC covers everything after the length and the CRC itself
_EXTENT = struct.Struct("=QQ")  # for how many series, and the number of the first

Record: TypeAlias = tuple[int, int, int, bytes, int]
"""A record: its kind, its family, its number, its payload, and the position where the next record begins."""


def pack_record(kind: int, family: int, number: int, payload: bytes = b"") -> bytes:
    """Return the bytes of a record; their length is a multiple of eight."""
    rest = _HEAD.pack(len(payload), 0, kind, family, number)[_CRC_START:] + payload
    head = _HEAD.pack(len(payload), crc32(rest), kind, family, number)
    return head + payload + bytes(-len(payload) % 8)


def read_records(data: bytes, position: int = 0) -> Iterator[Record]:
    """Yield the whole records of a piece of the log. Raises `CorruptError` at one whose length or CRC is wrong."""
    size = len(data)
    unpack_head, head_bytes = _HEAD.unpack_from, _HEAD.size
    while position + head_bytes <= size:
        length, crc, kind, family, number = unpack_head(data, position)
        if length > MAX_PAYLOAD_BYTES:
            raise CorruptError(f"a record of {length} bytes")
        stop = position + head_bytes + length
        end = stop + (-length % 8)
        if end > size:
            return
        if crc32(data[position + _CRC_START : stop]) != crc:
            raise CorruptError("a record does not match its checksum")
        yield kind, family, number, data[position + head_bytes : stop], end
        position = end


def pack_extent(room: int, number: int) -> bytes:
    """Return the payload of an extent that has cells for ``room`` series from ``number`` on."""
    return _EXTENT.pack(room, number)


def unpack_extent(payload: bytes) -> tuple[int, int]:
    """Return the room and the first number that `pack_extent` wrote. Raises `CorruptError` for another payload."""
    if len(payload) != _EXTENT.size:
        raise CorruptError("no extent")
    room, number = _EXTENT.unpack(payload)
    return room, number
