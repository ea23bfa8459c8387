"""Labels as attributes: messages ``KeyValue`` with a string each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import getitem
from typing import final

from asyncmetrics.formats.protobuf import encode_block, encode_text
from asyncmetrics.model.family import LiveFamily, Point

__all__ = ("encode_attribute", "encode_attributes", "make_point_attributes")

_MAX_VALUES = 1024  # values of one label that are kept while a family is encoded


def encode_attribute(field: int, name: str, value: str) -> bytes:
    """Return a ``KeyValue`` in the field ``field`` of its message."""
    return encode_block(field, encode_text(1, name) + encode_block(2, encode_text(1, value)))


def encode_attributes(field: int, labels: Iterable[tuple[str, str]]) -> bytes:
    """Return a ``KeyValue`` for each of ``labels``."""
    return b"".join([encode_attribute(field, name, value) for name, value in labels])


@final
class _Values(dict[str, bytes]):
    """The attributes of one label by its value. The same few values recur in most labels: benchmarks/push_otlp.py."""

    def __init__(self, field: int, name: str, *, omit_empty: bool) -> None:
        super().__init__()
        self._field = field
        self._key = encode_text(1, name)
        self._heads: dict[int, bytes] = {}  # by the size of the text
        self._omits = omit_empty

    def __missing__(self, value: str) -> bytes:
        text = value.encode("utf-8", "replace")
        encoded = b"" if self._omits and not value else self._get_head(len(text)) + text
        if len(self) < _MAX_VALUES:
            self[value] = encoded
        return encoded

    def _get_head(self, size: int) -> bytes:
        """Return what stands before the text of a value: all of the attribute, as the text comes last."""
        head = self._heads.get(size)
        if head is None:
            text = b"\0" * size
            head = encode_block(self._field, self._key + encode_block(2, encode_block(1, text)))[: -size or None]
            if size < _MAX_VALUES:
                self._heads[size] = head
        return head


def make_point_attributes(family: LiveFamily, field: int, added: Mapping[str, str]) -> Callable[[Point], bytes]:
    """Return a function that returns the attributes of a child of ``family``, in the field ``field`` of a data point.

    ``added`` are labels of all series. A label of the family or of the child wins over one of them.
    """
    descriptor = family.descriptor
    names = descriptor.all_labelnames
    values: Sequence[_Values] = [_Values(field, name, omit_empty=descriptor.omit_empty) for name in names]
    rest = {name: value for name, value in added.items() if name not in names}
    constant = encode_attributes(field, rest.items())

    def encode(point: Point) -> bytes:
        own = b"".join(map(getitem, values, point.labelvalues))
        extra = point.read_extra_labels()
        if not extra:
            return own + constant if constant else own
        others = {**rest, **extra}
        if descriptor.omit_empty:
            others = {name: value for name, value in others.items() if value}
        return own + encode_attributes(field, others.items())

    return encode
