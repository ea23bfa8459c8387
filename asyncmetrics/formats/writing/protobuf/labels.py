"""The labels of live families as protobuf.

*Theory of operation.* To encode labels takes longer than all the rest of a counter, and they never change. What is
encoded stays in `LiveFamily.encodings` from one scrape to the next, in a `_Page` for each batch of children:

1. A batch whose label blocks and times of creation are those of its page is written with what the page has.
2. Any other batch gets a new page, with what the old one has of the same children. Two children of a family never have
   the same block and the same time of creation.
3. At the end of a scrape, the pages of batches that the family no longer has are dropped.

Pages have no object for each child that a garbage collection would visit, and do not grow: steps stay short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from operator import getitem, itemgetter
from typing import Any, NamedTuple, TypeAlias, final

from asyncmetrics.formats.protobuf import encode_block, encode_text
from asyncmetrics.formats.writing.protobuf.messages import encode_label
from asyncmetrics.model.escaping import escape_name, is_legacy_label_name
from asyncmetrics.model.family import LiveFamily, Point
from asyncmetrics.model.names import to_label_text

__all__ = ("FamilyLabels", "escape_label")

_MAX_VALUES = 512  # values of one label that are kept while a family is encoded

_Encode: TypeAlias = Callable[[tuple[str, ...]], bytes]


def escape_label(name: object, escaping: str) -> str:
    """Return the written name of a label, or ``""`` if it has to be left out, as in the text formats."""
    text = to_label_text(name)
    written = escape_name(text, escaping, label=True) if text else ""
    return "" if written == "__name__" else written


@final
class _Values(dict[str, bytes]):
    """The ``LabelPair`` of one label by its value. The same few values recur in most labels: benchmarks/render.py."""

    def __init__(self, name: str, *, omit_empty: bool) -> None:
        super().__init__()
        self._key = encode_text(1, name)
        self._omits = omit_empty

    def __missing__(self, value: str) -> bytes:
        encoded = b""
        if value or not self._omits:
            encoded = encode_block(1, self._key + encode_text(2, to_label_text(value)))
        if len(self) < _MAX_VALUES:
            self[value] = encoded
        return encoded


@final
class _Page(NamedTuple):
    """What is kept of one batch: the label blocks, the times of creation if they count, and what is encoded."""

    blocks: Sequence[str | None]
    times: Sequence[float]
    encoded: Sequence[bytes]

    def renew(
        self,
        blocks: Sequence[str | None],
        times: Sequence[float],
        points: Sequence[Point],
        make: Callable[[Point], bytes],
    ) -> _Page:
        """Return the page of a batch that has changed."""
        known = dict(zip(_make_keys(self.blocks, self.times), self.encoded, strict=True))
        keys = _make_keys(blocks, times)
        encoded = [known.get(key) or make(point) for key, point in zip(keys, points, strict=True)]
        return _Page(blocks, times, encoded)


def _make_keys(blocks: Sequence[str | None], times: Sequence[float]) -> Iterator[tuple[str | None, float]]:
    return zip(blocks, times or repeat(0.0, len(blocks)), strict=True)


_NO_PAGE = _Page((), (), ())


@final
class FamilyLabels:
    """The labels of a live family's children, in the order of their names."""

    def __init__(self, family: LiveFamily, escaping: str) -> None:
        self._names = family.descriptor.all_labelnames
        # The facts of an info are labels that are not in its label block; other blocks depend on the escaping scheme.
        is_kept = all(map(is_legacy_label_name, self._names)) and family.type != "info"
        self._pages: list[_Page] | None = family.encodings if is_kept else None
        self._number = 0
        self._escaping = escaping
        self._omits = family.descriptor.omit_empty
        self._encoders: dict[tuple[str, ...], _Encode] = {}
        self._encode = self._make_encoder(())

    def encode(self, point: Point) -> bytes:
        """Return the labels of a child."""
        extra = point.read_extra_labels()
        if not extra:
            return self._encode(point.labelvalues)
        key = tuple(extra)
        encode = self._encoders.get(key)
        if encode is None:
            encode = self._encoders[key] = self._make_encoder(key)
        return encode((*point.labelvalues, *extra.values()))

    def encode_batch(
        self, points: Sequence[Any], times: Sequence[float], make: Callable[[Point], bytes]
    ) -> Sequence[bytes]:
        """Return what ``make`` returns for each point, kept from the last scrape where the point has not changed.

        ``times`` are those of creation if the encoding has them. Batches are encoded in the order of reading.
        """
        pages = self._pages
        if pages is None:
            return list(map(make, points))
        blocks = [point.label_block for point in points]
        # Slices, as another scrape may drop pages meanwhile.
        place = slice(self._number, self._number + 1)
        self._number += 1
        (page,) = pages[place] or (_NO_PAGE,)
        if page.blocks != blocks or page.times != times:
            if None in blocks:
                return list(map(make, points))
            page = page.renew(blocks, times, points, make)
            pages[place] = [page]
        return page.encoded

    def drop_unused(self) -> Iterator[None]:
        """Drop the pages of batches that were not encoded, in steps."""
        while self._pages is not None and len(self._pages) > self._number:
            del self._pages[max(self._number, len(self._pages) - 1) :]
            yield

    def write_name(self, name: str) -> str:
        """Return the written name of a label of an exemplar."""
        return escape_label(name, self._escaping)

    def encode_own(self, name: str, value: str) -> bytes:
        """Return the label of a state, which has the name of the family."""
        return encode_label(escape_name(name, self._escaping, label=True), value)

    def _make_encoder(self, extra: Sequence[str]) -> _Encode:
        names = (*self._names, *extra)
        written = {escape_label(name, self._escaping): index for index, name in enumerate(names)}
        written.pop("", None)  # of two names with one written form the last one stays
        order = sorted(written.items(), key=lambda item: names[item[1]])
        values = [_Values(name, omit_empty=self._omits) for name, _ in order]
        indexes = [index for _, index in order]
        join = b"".join
        if not indexes:
            return lambda _: b""
        if len(indexes) == 1:
            (only,), (at,) = values, indexes
            return lambda texts: only[texts[at]]
        if indexes == list(range(len(names))):
            return lambda texts: join(map(getitem, values, texts))
        select = itemgetter(*indexes)  # of two names or more, so that it returns a tuple
        return lambda texts: join(map(getitem, values, select(texts)))
