"""The wire format of protocol buffers, as far as metrics need it (https://protobuf.dev/programming-guides/encoding/).

A message is a sequence of fields. Each field is a tag, the number of the field with its wire type, and a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

__all__ = (
    "decode_fields",
    "decode_varints",
    "encode_block",
    "encode_double",
    "encode_integer",
    "encode_tag",
    "encode_text",
    "encode_varint",
    "fold_sign",
)

_VARINT, _FIXED64, _BLOCK, _FIXED32 = 0, 1, 2, 5  # the wire types
_MAX_VARINT_BYTES = 10
_pack_double = Struct("<d").pack
_SHORT = tuple(bytes([number]) for number in range(128))


def encode_varint(number: int) -> bytes:
    """Return ``number`` in groups of seven bits, the lowest first; a negative one as its 64-bit complement."""
    if 0 <= number < 128:
        return _SHORT[number]
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def fold_sign(number: int) -> int:
    """Return a signed number without a sign, as the types sint32 and sint64 have it: 0, -1, 1, -2 become 0, 1, 2, 3."""
    return 2 * number if number >= 0 else -2 * number - 1


def encode_tag(field: int, wire_type: int) -> bytes:
    """Return the tag of a field."""
    return encode_varint(field << 3 | wire_type)


def encode_integer(field: int, number: int) -> bytes:
    """Return a field of one of the types int32, int64, uint32, uint64, bool or enum."""
    return encode_tag(field, _VARINT) + encode_varint(number)


def encode_double(field: int, number: float) -> bytes:
    """Return a field of the type double."""
    return encode_tag(field, _FIXED64) + _pack_double(number)


def encode_block(field: int, data: bytes) -> bytes:
    """Return a field of the type bytes, of a packed list, or of an inner message."""
    return encode_tag(field, _BLOCK) + encode_varint(len(data)) + data


def encode_text(field: int, text: str) -> bytes:
    """Return a field of the type string; lone surrogates become question marks."""
    return encode_block(field, text.encode("utf-8", "replace"))


def decode_fields(message: bytes) -> Iterator[tuple[int, int | bytes, bytes]]:
    """Yield the fields of a message: the number, the value, and the whole field as it is encoded.

    The value is an int for a varint, which is not negative, and else the bytes. Raises ValueError where ``message`` is
    none. Groups, which proto3 does not have, are refused.
    """
    position = 0
    while position < len(message):
        start = position
        tag, position = _decode_varint(message, position)
        field, wire_type = tag >> 3, tag & 7
        if field and wire_type == _VARINT:
            number, position = _decode_varint(message, position)
            yield field, number, message[start:position]
            continue
        if wire_type == _BLOCK:
            size, position = _decode_varint(message, position)
        else:
            size = {_FIXED64: 8, _FIXED32: 4}.get(wire_type, -1)
        if size < 0 or not field or position + size > len(message):
            raise ValueError(f"expected a field of a protobuf message, got the tag {tag} at byte {start}")
        value, position = message[position : position + size], position + size
        yield field, value, message[start:position]


def decode_varints(data: bytes) -> Iterator[int]:
    """Yield the numbers of a packed list of varints. Raises ValueError where ``data`` is none."""
    position = 0
    while position < len(data):
        number, position = _decode_varint(data, position)
        yield number


def _decode_varint(data: bytes, position: int) -> tuple[int, int]:
    number = 0
    for index, byte in enumerate(data[position : position + _MAX_VARINT_BYTES]):
        number |= (byte & 127) << 7 * index
        if byte < 128:
            return number & (1 << 64) - 1, position + index + 1
    raise ValueError(f"expected a varint at byte {position}, got {len(data) - position} bytes")
