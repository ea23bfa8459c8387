"""The labels of a family's series in the order of their bytes, of which many series have most in common.

*Theory of operation.* The series of one child differ in two labels only: ``__name__``, and the own label of a row
(``le`` or a state), which the series of a native histogram has not. A `Layout` sorts all names once for a family.
Between the two labels that differ stand three segments, which are encoded once for a child:

    first segment, ``__name__``, second segment, ``le``, third segment

An uppercase letter sorts before ``__name__``, a lowercase one after it. The own label may stand before ``__name__``:
a state set names it as the family.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import getitem, itemgetter
from typing import TypeAlias, final

from asyncmetrics.bridges.remote_write.messages import Header, Message
from asyncmetrics.formats.writing.custom_families import get_help
from asyncmetrics.model.descriptor import Row
from asyncmetrics.model.escaping import UNDERSCORES, escape_name
from asyncmetrics.model.family import LiveFamily, Metric
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.names import to_label_text

__all__ = ("NAME", "NATIVE", "Layout", "Names", "Segment", "list_rows", "make_header", "make_layout")

NAME = "__name__"
NATIVE = -1
"""The index of the row of a native histogram, which has no number."""

Segment: TypeAlias = Callable[[tuple[str, ...]], bytes]
"""Returns the encoded labels of a segment, from the label values of a child."""

_Source: TypeAlias = str | int  # a label's value, or the index of its value among those of a child
_Part: TypeAlias = tuple[str, _Source]
_Row: TypeAlias = tuple[int, _Part, _Part]
_NO_PART: _Part = ("", "")


@final
class Names:
    """The written names of labels and metrics under one escaping scheme."""

    def __init__(self, escaping: str) -> None:
        self.escaping = escaping
        self._labels: dict[str, str] = {}

    def write_label(self, name: object) -> str:
        """Return the written name of a label, or ``""`` if it has to be left out."""
        text = to_label_text(name)
        written = self._labels.get(text)
        if written is None:
            written = escape_name(text, self.escaping, label=True) if text else ""
            written = "" if written == NAME else written
            if len(self._labels) < _MOST_NAMES:
                self._labels[text] = written
        return written

    def write_metric(self, name: str, suffix: str = "") -> str:
        """Return the written name of a sample; ``suffix`` is what it adds to the name of its family."""
        return escape_name(name, self.escaping) + suffix

    def keeps(self, labels: Iterable[tuple[str, _Source]]) -> bool:
        """Return whether a series that an earlier payload has written with ``labels`` has the same names today.

        Only a fallback to 1.0 changes names: it escapes them with underscores.
        """
        if self.escaping != UNDERSCORES:
            return True
        return all(
            self.write_metric(str(value)) == value if name == NAME else self.write_label(name) == name
            for name, value in labels
        )


_MOST_NAMES = 10_000  # of labels in one payload: infos can have other facts in each


@final
@dataclass(frozen=True, slots=True)
class Layout:
    """The order of the labels of a family's series.

    ``rows`` are the index of a row's number, and its two differing labels with their values, in their order; a missing
    one has no name. ``native`` is the row of a native histogram, whose index is `NATIVE`, if there is one. ``values``
    is how many label values a child has. A family with one row has all its labels in the first segment. Two layouts are
    equal if their series have equal labels for the same label values.
    """

    segments: tuple[tuple[_Part, ...], ...]
    rows: tuple[_Row, ...]
    values: int
    native: tuple[_Row, ...] = ()

    @property
    def all_rows(self) -> tuple[_Row, ...]:
        """The rows of all series of a child."""
        return self.rows + self.native

    def list_parts(self) -> Iterator[tuple[str, _Source]]:
        """Yield the names of all labels with their values, or with the index of these."""
        yield from chain(*self.segments)
        for _, one, other in self.all_rows:
            yield from (one, other)

    def encode_segments(self, message: Message) -> tuple[Segment, Segment, Segment]:
        """Return what encodes the segments for ``message``."""
        first, second, third = (_make_segment(parts, self.values, message) for parts in self.segments)
        return first, second, third

    def encode_rows(self, message: Message) -> list[tuple[int, bytes, bytes]]:
        """Return all rows with their labels encoded for ``message``, that of the native histogram last."""
        rows = self.all_rows
        return [(index, _encode_part(one, message), _encode_part(other, message)) for index, one, other in rows]


def list_rows(family: LiveFamily) -> dict[int, Row]:
    """Return the rows that are sent as numbers: none if there is a native histogram without a classic one."""
    return {} if family.has_native and family.descriptor.is_native_only else family.rows


def make_layout(family: LiveFamily, extra: Iterable[str], names: Names, fixed: Mapping[str, str]) -> Layout:
    """Return the layout of a live family.

    ``extra`` are the names of labels that a child has beside those of the descriptor; their values follow the others.
    ``fixed`` are labels, under their written names, of all series that have no label of that name.
    """
    sources: dict[str, _Source] = dict(fixed)
    all_names = (*family.descriptor.all_labelnames, *extra)
    sources.update((names.write_label(name), index) for index, name in enumerate(all_names))
    start = len(family.name)
    numbers = list_rows(family)
    all_rows = {**numbers, NATIVE: Row(family.name)} if family.has_native else numbers
    own = next((names.write_label(row.label[0]) for row in numbers.values() if row.label), "")
    rows: list[_Row] = []
    for index, row in all_rows.items():
        name = (NAME, names.write_metric(family.name, row.name[start:]))
        one, other = sorted((name, (own, row.label[1] if row.label else ""))) if own else (name, _NO_PART)
        rows.append((index, one, other))
    for taken in ("", NAME, own):
        sources.pop(taken, None)
    if len(rows) == 1:
        (index, *parts), *_ = rows
        sources.update(part for part in parts if part[1])
        rows = [(index, _NO_PART, _NO_PART)]
    ends = sorted({NAME, own or NAME})
    segments: tuple[list[_Part], list[_Part], list[_Part]] = [], [], []
    for part in sorted(sources.items(), key=itemgetter(0)):
        place = 0 if len(rows) == 1 else (part[0] > ends[0]) + (part[0] > ends[-1])
        segments[place].append(part)
    first, second, third = map(tuple, segments)
    return Layout((first, second, third), tuple(rows[: len(numbers)]), len(all_names), tuple(rows[len(numbers) :]))


def make_header(family: Metric, names: Names) -> Header:
    """Return what is sent about a family itself. The name is that of the text format, such as ``orders_total``."""
    name = names.write_metric(family.name, KINDS[family.type].text_suffix)
    return name, family.type, get_help(family), family.unit if isinstance(family.unit, str) else ""


def _encode_part(part: _Part, message: Message) -> bytes:
    name, value = part
    return message.make_label_encoder(name)(str(value)) if name and value else b""


@final
class _Labels(dict[str, bytes]):
    """The encoded values of one label, each with the fixed labels before it: most values recur."""

    def __init__(self, before: bytes, encode: Callable[[str], bytes]) -> None:
        self._before = before
        self._encode = encode

    def __missing__(self, value: str) -> bytes:
        encoded = self[value] = self._before + (self._encode(value) if value else b"")
        return encoded


def _make_segment(parts: Sequence[_Part], most: int, message: Message) -> Segment:
    """Return what encodes a segment; ``most`` is how many label values a child has."""
    caches: list[_Labels] = []
    indexes: list[int] = []
    before = b""
    for name, source in parts:
        if isinstance(source, int):
            caches.append(_Labels(before, message.make_label_encoder(name)))
            indexes.append(source)
            before = b""
        else:
            before += message.make_label_encoder(name)(source) if source else b""
    rest = before
    if not caches:
        return lambda values: rest  # noqa: ARG005
    if len(caches) == 1:
        (cache,), (index,) = caches, indexes
        return lambda values: cache[values[index]] + rest
    join = b"".join
    if indexes == list(range(most)):
        return lambda values: join(map(getitem, caches, values)) + rest
    select = itemgetter(*indexes)
    return lambda values: join(map(getitem, caches, select(values))) + rest
