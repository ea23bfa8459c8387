"""The records of a slot's log of keys, and label values as they stand in them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TypeAlias
from zlib import crc32

from asyncmetrics.storage.shared.files.layout import CorruptError

__all__ = (
    "EXTENT",
    "FACTS",
    "FAMILY",
    "LONGEST",
    "RETIRED",
    "SERIES",
    "Record",
    "join_key",
    "pack_extent",
    "pack_key",
    "pack_record",
    "records",
    "split_key",
    "unpack_extent",
    "unpack_key",
)


# The kinds of records.
FAMILY, EXTENT, SERIES, FACTS, RETIRED = 1, 2, 3, 4, 5


_HEAD = struct.Struct("=IIIIQ")  # payload's length, CRC of all that follows it, kind, family, number


_CHECKED = 8


LONGEST = 1 << 24  # bytes of a payload; a longer one is no record


_EXTENT = struct.Struct("=QQ")  # for how many series, and the number of the first


_BETWEEN = b"\xff"  # a byte that no UTF-8 has


_DECODED = "\udcff"


Record: TypeAlias = tuple[int, int, int, bytes, int]
"""One record of the log: its kind, its family, a number, what it says, and where the next one begins."""


def pack_record(kind: int, family: int, number: int, payload: bytes = b"") -> bytes:
    """Write a record, a multiple of eight bytes long."""
    rest = _HEAD.pack(len(payload), 0, kind, family, number)[_CHECKED:] + payload
    head = _HEAD.pack(len(payload), crc32(rest), kind, family, number)
    return head + payload + bytes(-len(payload) % 8)


def records(data: bytes, position: int = 0) -> Iterator[Record]:
    """Yield the whole records of a piece of the log. Raises `CorruptError` at one that is not as it was written."""
    size = len(data)
    head, start, checked = _HEAD.unpack_from, _HEAD.size, _CHECKED
    while position + start <= size:
        length, crc, kind, family, number = head(data, position)
        if length > LONGEST:
            raise CorruptError(f"a record of {length} bytes")
        stop = position + start + length
        end = stop + (-length % 8)
        if end > size:
            return
        if crc32(data[position + checked : stop]) != crc:
            raise CorruptError("a record is not as it was written")
        yield kind, family, number, data[position + start : stop], end
        position = end


def pack_extent(room: int, number: int) -> bytes:
    """Write for how many series an extent is, and the number of the first of them."""
    return _EXTENT.pack(room, number)


def unpack_extent(payload: bytes) -> tuple[int, int]:
    """Read what `pack_extent` has written. Raises `CorruptError` if it was not that."""
    if len(payload) != _EXTENT.size:
        raise CorruptError("no extent")
    room, number = _EXTENT.unpack(payload)
    return room, number


def pack_key(labelvalues: tuple[str, ...]) -> bytes:
    """Write label values: UTF-8, with a byte between them that it never has."""
    return _BETWEEN.join([text.encode() for text in labelvalues])


def unpack_key(payload: bytes, count: int) -> str:
    """Read so many label values as one text, for `split_key`. Raises `CorruptError` if there are others."""
    # The byte between becomes a lone surrogate, which no label value has.
    joined = payload.decode("utf-8", "surrogateescape")
    found = joined.count(_DECODED) + 1 if count or joined else 0
    if found != count:
        raise CorruptError(f"{found} label values where the family has {count}")
    return joined


def join_key(labelvalues: tuple[str, ...]) -> str:
    """Return label values as one text."""
    return _DECODED.join(labelvalues)


def split_key(joined: str, count: int) -> tuple[str, ...]:
    """Return the label values that a text stands for, of which there are ``count``."""
    return tuple(joined.split(_DECODED)) if count else ()
