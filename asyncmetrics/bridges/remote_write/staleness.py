"""The series that were sent, and the end marks of those that are gone.

A series that ends, such as one of a child that was removed, gets a last sample with the value *stale* (1.0, "Stale
Markers"): queries stop to see it at once, and not five minutes later.

*Theory of operation.*

1. Each payload has a number. While it is encoded, its number is noted for each child, beside the label values, which
   the note shares with the child.
2. At the end of the payload, the children that have an older number are marked in it.
3. Once the request with the mark was sent, the next payload forgets the child. A payload that is never sent
   leaves its marks to the next ones. After `_MOST_MARKS` of them a child is forgotten: queries have stopped to see it.

The children are kept in many small dicts: one of 100,000 grows by moving everything in it, which takes milliseconds.

*Rule.* A series with a sample in a payload has no mark in it. So nothing is marked of a metric that was declared anew
with other rows, such as other buckets: some of its series go on.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Generic, TypeAlias, TypeVar, final

from asyncmetrics.bridges.remote_write.layout import Layout
from asyncmetrics.bridges.remote_write.messages import Header

__all__ = ("SHARDS", "STALE", "Children", "Labels", "Marked", "Presence")

STALE = b"\x02\x00\x00\x00\x00\x00\xf0\x7f"
"""The value of an end mark, the NaN 0x7ff0000000000002."""

SHARDS = 256
"""In how many dicts children are kept, by their hash."""

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""The sorted labels of a series, its name among them."""

_MOST_MARKS = 20  # five minutes at an interval of 15 s, which is how far queries look back
_STEP = 128

C = TypeVar("C", bound=Hashable)


@final
class Children(Generic[C]):
    """The children of one layout, or of one custom family, with the payload that had them last.

    ``header`` describes the family.
    """

    def __init__(self, header: Header) -> None:
        self.header = header
        self.shards: list[dict[C, int]] = [{} for _ in range(SHARDS)]

    def note(self, child: C, payload: int) -> None:
        """Note that ``payload`` has a child."""
        self.shards[hash(child) % SHARDS][child] = payload

    def iterate_gone(self, payload: int) -> Iterator[list[C]]:
        """Yield the children that ``payload`` has not, in steps; a step may have none."""
        for shard in self.shards:
            items = list(shard.items())
            for start in range(0, len(items), _STEP):
                gone = [(child, last) for child, last in items[start : start + _STEP] if last < payload]
                for child, last in gone:
                    if last < payload - _MOST_MARKS:
                        del shard[child]
                yield [child for child, last in gone if last >= payload - _MOST_MARKS]

    def forget(self, child: C, payload: int) -> None:
        """Forget a child that was marked in ``payload``, unless it has come back."""
        shard = self.shards[hash(child) % SHARDS]
        if shard.get(child, payload) < payload:
            del shard[child]


Marked: TypeAlias = list[tuple[int, Children[Any], Any]]
"""The end marks of a request: the number of its payload, and the child."""


@final
class Presence:
    """The children of all payloads of one sink."""

    def __init__(self) -> None:
        self.payload = 0
        self._live: dict[Layout, Children[tuple[str, ...]]] = {}
        self._custom: dict[str, Children[Labels]] = {}
        self._rows: dict[str, object] = {}
        self._sent: list[Marked] = []

    def begin(self) -> Iterator[None]:
        """Begin a payload: forget the children whose end marks were sent, in steps."""
        self.payload += 1
        self._rows = {}
        for marked in self._pop_sent():
            for start in range(0, len(marked), _STEP):
                for payload, children, child in marked[start : start + _STEP]:
                    children.forget(child, payload)
                yield
        self._live = {layout: children for layout, children in self._live.items() if any(children.shards)}
        self._custom = {name: children for name, children in self._custom.items() if any(children.shards)}

    def open_live(self, layout: Layout, header: Header) -> Children[tuple[str, ...]]:
        """Return what notes the children with ``layout``, by their label values."""
        self._rows[header[0]] = layout.all_rows
        children = self._live.get(layout)
        if children is None:
            children = self._live[layout] = Children(header)
        return children

    def open_custom(self, header: Header) -> Children[Labels]:
        """Return what notes the series of a custom family, by their labels."""
        children = self._custom.get(header[0])
        if children is None:
            children = self._custom[header[0]] = Children(header)
        return children

    def iterate_gone_live(self) -> Iterator[tuple[Layout, Children[tuple[str, ...]], list[tuple[str, ...]]]]:
        """Yield the children of live families that this payload has not, in steps."""
        for layout, children in list(self._live.items()):
            if self._rows.get(children.header[0], layout.all_rows) == layout.all_rows:
                for gone in children.iterate_gone(self.payload):
                    yield layout, children, gone

    def iterate_gone_custom(self) -> Iterator[tuple[Children[Labels], list[Labels]]]:
        """Yield the series of custom families that this payload has not, in steps."""
        for children in list(self._custom.values()):
            for gone in children.iterate_gone(self.payload):
                yield children, gone

    def confirm(self, marked: Marked) -> None:
        """Note that the end marks of a request were sent."""
        self._sent.append(marked)

    def _pop_sent(self) -> list[Marked]:
        sent, self._sent = self._sent, []
        return sent
