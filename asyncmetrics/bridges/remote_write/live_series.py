"""Series of live families: the metrics of this library, which may have a million children."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Any, TypeAlias, final

from asyncmetrics.bridges.remote_write.layout import Layout, Names, Segment, make_header, make_layout
from asyncmetrics.bridges.remote_write.messages import Frames, Header, Message
from asyncmetrics.bridges.remote_write.staleness import SHARDS, Children, Presence
from asyncmetrics.bridges.remote_write.times import read_milliseconds
from asyncmetrics.formats.protobuf import encode_integer, encode_varint
from asyncmetrics.model.family import LiveFamily, Point
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.names import to_label_text
from asyncmetrics.model.samples import Exemplar

__all__ = ("LiveSeries", "SeriesEncoder")

_pack = Struct("<d").pack
_HEAD_BYTES = 3  # of a sample before its value: two tags and a length

Tail: TypeAlias = tuple[Frames, bytes, bytes]
"""What a series has around its labels and its number: a frame by the length of the labels, a head and a tail."""


@final
class SeriesEncoder:
    """Encodes the series of children with one `Layout`, for one message and one time."""

    def __init__(self, layout: Layout, message: Message, header: Header, now: int) -> None:
        self.layout = layout
        self._message = message
        self._time = encode_integer(2, now)
        self._description = message.describe(header)
        self._segments: tuple[Segment, Segment, Segment] = layout.encode_segments(message)
        self._rows = layout.encode_rows(message)
        self._tails: dict[int, Tail] = {}

    def encode_child(self, out: list[bytes], values: tuple[str, ...], numbers: Sequence[bytes], start: int) -> None:
        """Append the series of one child to ``out``; ``numbers`` are the doubles of its rows."""
        frames, head, tail = self._tails.get(start) or self._make_tail(start)
        first, second, third = self._segments
        a, b, c = first(values), second(values), third(values)
        join = b"".join
        for index, one, other in self._rows:
            block = join((a, one, b, other, c))
            out += (frames[len(block)], block, head, numbers[index], tail)

    def encode_exemplars(
        self,
        out: list[bytes],
        values: tuple[str, ...],
        numbers: Sequence[bytes],
        start: int,
        exemplars: Mapping[int, bytes],
    ) -> None:
        """Append the series of one child that has exemplars, which are encoded already, by the index of their row."""
        a, b, c = (segment(values) for segment in self._segments)
        _, head, tail = self._tails.get(start) or self._make_tail(start)
        for index, one, other in self._rows:
            block = b"".join((a, one, b, other, c))
            rest = head + numbers[index] + tail + exemplars.get(index, b"")
            out += (self._message.make_frame(len(block), len(rest)), block, rest)

    def encode_values(self, out: list[bytes], points: Sequence[Any], limit: float) -> None:
        """Append the series of children that have one number each, and no exemplar: benchmarks/push.py.

        These points have ``value`` beside ``read_numbers()``. Their start is ``limit`` at the latest; 0 is for none.
        """
        tails, make_tail, pack = self._tails, self._make_tail, _pack
        segment = self._segments[0]
        start = 0
        for point in points:
            block = segment(point.labelvalues)
            if limit:
                start = int(min(point.created, limit) * 1000)
            frames, head, tail = tails.get(start) or make_tail(start)
            out += (frames[len(block)], block, head, pack(point.value), tail)

    def _make_tail(self, start: int) -> Tail:
        varint = encode_varint(start) if start and self._message.has_start else b""
        sample = self._time + (b"\x18" + varint if varint else b"")
        tail = sample + self._description + (b"\x30" + varint if varint else b"")
        head = b"\x12" + encode_varint(9 + len(sample)) + b"\x09"
        made = self._tails[start] = self._message.get_frames(_HEAD_BYTES + 8 + len(tail)), head, tail
        return made


@final
class LiveSeries:
    """Encodes a live family, some points at a time, into whichever message is being filled."""

    def __init__(
        self, family: LiveFamily, names: Names, fixed: Mapping[str, str], now: int, presence: Presence | None
    ) -> None:
        self._family = family
        self._names = names
        self._fixed = fixed
        self._now = now
        self._presence = presence
        self._header = make_header(family, names)
        kind = KINDS[family.type]
        self._has_start = kind.has_created
        self._has_value = kind.has_value and bool(family.rows)
        self._has_exemplars = bool(kind.exemplars)
        self._layouts: dict[tuple[str, ...], Layout] = {}
        self._children: dict[tuple[str, ...], Children[tuple[str, ...]]] = {}
        self._message: Message | None = None
        self._encoders: dict[tuple[str, ...], SeriesEncoder] = {}

    @property
    def rows(self) -> int:
        """How many series a child has."""
        return len(self._family.rows)

    def encode(self, points: Sequence[Point], message: Message) -> None:
        """Add the series of ``points`` to ``message``."""
        if message is not self._message:
            self._message, self._encoders = message, {}
        out: list[bytes] = []
        if self._is_plain(points):
            limit = self._family.now if self._has_start and message.has_start else 0
            encoder = self._encoders.get(()) or self._make_encoder((), message)
            encoder.encode_values(out, points, limit)
            if self._presence is not None:
                shards, payload = self._children[()].shards, self._presence.payload
                for point in points:
                    values = point.labelvalues
                    shards[hash(values) % SHARDS][values] = payload
        else:
            for point in points:
                self._encode_point(out, point, message)
        message.add(b"".join(out), len(points) * self.rows)

    def _is_plain(self, points: Sequence[Any]) -> bool:
        """Return whether each point has one number, and neither labels of its own nor an exemplar."""
        return (
            self._has_value
            and not any(point.read_extra_labels() for point in points)
            and not (self._has_exemplars and any(point.exemplar for point in points))
        )

    def _encode_point(self, out: list[bytes], point: Point, message: Message) -> None:
        extra = point.read_extra_labels()
        key = tuple(extra) if extra else ()
        encoder = self._encoders.get(key) or self._make_encoder(key, message)
        values = (*point.labelvalues, *map(to_label_text, extra.values())) if extra else point.labelvalues
        numbers = [_pack(number) for number in point.read_numbers()]
        start = int(self._family.get_created(point) * 1000) if self._has_start else 0
        exemplars = point.read_exemplars()
        if exemplars:
            encoder.encode_exemplars(out, values, numbers, start, self._encode_exemplars(exemplars, message))
        else:
            encoder.encode_child(out, values, numbers, start)
        if self._presence is not None:
            self._children[key].note(values, self._presence.payload)

    def _make_encoder(self, key: tuple[str, ...], message: Message) -> SeriesEncoder:
        layout = self._layouts.get(key)
        if layout is None:
            layout = self._layouts[key] = make_layout(self._family, key, self._names, self._fixed)
            if self._presence is not None:
                self._children[key] = self._presence.open_live(layout, self._header)
        encoder = self._encoders[key] = SeriesEncoder(layout, message, self._header, self._now)
        return encoder

    def _encode_exemplars(self, exemplars: Mapping[int, Exemplar], message: Message) -> dict[int, bytes]:
        encoded = {}
        for index, exemplar in exemplars.items():
            labels = {self._names.write_label(name): text for name, text in exemplar.labels.items()}
            labels.pop("", None)
            time = self._now if exemplar.timestamp is None else read_milliseconds(exemplar.timestamp)
            encoded[index] = message.encode_exemplar(labels, exemplar.value, time)
        return encoded
