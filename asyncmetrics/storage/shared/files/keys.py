"""The label values of a series, in the two forms that shared storage keeps: bytes in the log, one text in memory."""

from __future__ import annotations

from typing import TypeAlias

from asyncmetrics.storage.shared.files.layout import CorruptError

__all__ = ("JoinedKey", "Key", "get_owner", "pack_joined_key", "pack_key", "split_key", "unpack_key")

Key: TypeAlias = tuple[str, ...]
"""The label values of a series, in the order of the family's label names."""

JoinedKey: TypeAlias = str
"""A key as one text. The garbage collector does not track texts, so a million of them cost it nothing."""

_SEPARATOR = b"\xff"  # a byte that UTF-8 never uses (RFC 3629, section 3)
_JOINED_SEPARATOR = "\udcff"  # what Python decodes that byte to: a lone surrogate, which no label value has


def pack_key(key: Key) -> bytes:
    """Return label values as the bytes of a record: UTF-8, with `_SEPARATOR` between them."""
    return _SEPARATOR.join([text.encode() for text in key])


def unpack_key(payload: bytes, count: int) -> JoinedKey:
    """Read ``count`` label values from a record, for `split_key`. Raises `CorruptError` if there are more or fewer."""
    joined = payload.decode("utf-8", "surrogateescape")
    actual = joined.count(_JOINED_SEPARATOR) + 1 if count or joined else 0
    if actual != count:
        raise CorruptError(f"{actual} label values where the family has {count}")
    return joined


def split_key(joined: JoinedKey, count: int) -> Key:
    """Return the ``count`` label values that `unpack_key` made one text of."""
    return tuple(joined.split(_JOINED_SEPARATOR)) if count else ()


def pack_joined_key(joined: JoinedKey) -> bytes:
    """Return the bytes that `unpack_key` made one text of."""
    return joined.encode("utf-8", "surrogateescape")


def get_owner(joined: JoinedKey) -> JoinedKey:
    """Return the key of the owner of a part's series: all but the last text."""
    return joined.rpartition(_JOINED_SEPARATOR)[0]
