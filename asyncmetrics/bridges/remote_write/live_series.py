"""Series of live families: the metrics of this library, which may have a million children.

A native histogram is a series beside those of the classic one, as Prometheus has it after a scrape of both. It goes
into another message: a receiver that has no native histograms refuses the whole request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from struct import Struct
from typing import Any, TypeAlias, final

from asyncmetrics.bridges.remote_write.histograms import encode_native_histogram
from asyncmetrics.bridges.remote_write.layout import Layout, Names, Segment, list_rows, make_header, make_layout
from asyncmetrics.bridges.remote_write.messages import Frames, Header, Message
from asyncmetrics.bridges.remote_write.staleness import SHARDS, STALE, Children, Presence
from asyncmetrics.bridges.remote_write.times import read_milliseconds
from asyncmetrics.formats.protobuf import encode_integer, encode_varint
from asyncmetrics.model.family import LiveFamily, Point
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.names import to_label_text
from asyncmetrics.model.samples import Exemplar, NativeHistogram

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
        self._now = now
        self._time = encode_integer(2, now)
        self._description = message.describe(header)
        self._segments: tuple[Segment, Segment, Segment] = layout.encode_segments(message)
        self._all_rows = layout.encode_rows(message)
        self._rows = self._all_rows[: len(layout.rows)]
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

    def encode_ends(self, out: list[bytes], values: tuple[str, ...]) -> None:
        """Append the end marks of all series of one child to ``out``."""
        for _, labels in self._iterate_labels(values, self._all_rows):
            rest = self._message.encode_sample(STALE, self._now, 0) + self._description
            out += (self._message.make_frame(len(labels), len(rest)), labels, rest)

    def encode_native(
        self, out: list[bytes], values: tuple[str, ...], native: NativeHistogram, start: int, exemplars: bytes
    ) -> None:
        """Append the series of one child's native histogram to ``out``; its exemplars are encoded already.

        The start is not that of the series (see `encode_native_histogram`).
        """
        message = self._message
        begin = start if message.has_start else 0
        rest = encode_native_histogram(message.histogram_field, native, self._now, begin)
        rest += self._description + exemplars
        for _, labels in self._iterate_labels(values, self._all_rows[-1:]):
            out += (message.make_frame(len(labels), len(rest)), labels, rest)

    def encode_exemplars(
        self,
        out: list[bytes],
        values: tuple[str, ...],
        numbers: Sequence[bytes],
        start: int,
        exemplars: Mapping[int, bytes],
    ) -> None:
        """Append the series of one child that has exemplars, which are encoded already, by the index of their row."""
        _, head, tail = self._tails.get(start) or self._make_tail(start)
        for index, block in self._iterate_labels(values, self._rows):
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

    def _iterate_labels(
        self, values: tuple[str, ...], rows: Iterable[tuple[int, bytes, bytes]]
    ) -> Iterator[tuple[int, bytes]]:
        """Yield the index and the labels of each row of one child."""
        a, b, c = (segment(values) for segment in self._segments)
        for index, one, other in rows:
            yield index, b"".join((a, one, b, other, c))

    def _make_tail(self, start: int) -> Tail:
        varint = encode_varint(start) if start and self._message.has_start else b""
        sample = self._time + (b"\x18" + varint if varint else b"")
        tail = sample + self._description + (b"\x30" + varint if varint else b"")
        head = b"\x12" + encode_varint(9 + len(sample)) + b"\x09"
        made = self._tails[start] = self._message.get_frames(_HEAD_BYTES + 8 + len(tail)), head, tail
        return made


@final
class _Encoders:
    """The encoders of the message that is being filled, by the names of the labels that a child has of its own."""

    def __init__(self, find_layout: Callable[[tuple[str, ...]], Layout], header: Header, now: int) -> None:
        self._find_layout = find_layout
        self._header = header
        self._now = now
        self._message: Message | None = None
        self._encoders: dict[tuple[str, ...], SeriesEncoder] = {}

    def find(self, key: tuple[str, ...], message: Message) -> SeriesEncoder:
        """Return the encoder for ``message``."""
        if message is not self._message:
            self._message, self._encoders = message, {}
        encoder = self._encoders.get(key)
        if encoder is None:
            encoder = SeriesEncoder(self._find_layout(key), message, self._header, self._now)
            self._encoders[key] = encoder
        return encoder


@final
class LiveSeries:
    """Encodes a live family, some points at a time, into whichever messages are being filled.

    ``since`` is the Unix time of the payload before this one, whose exemplars were sent.
    """

    def __init__(
        self,
        family: LiveFamily,
        names: Names,
        fixed: Mapping[str, str],
        now: int,
        presence: Presence | None,
        since: int = 0,
    ) -> None:
        self._family = family
        self._since = since
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
        self._encoders = _Encoders(self._find_layout, self._header, now)
        self._native_encoders = _Encoders(self._find_layout, self._header, now)
        self.rows = len(list_rows(family))
        """How many series a child has, without that of a native histogram."""

    def encode(self, points: Sequence[Point], message: Message) -> None:
        """Add the series of ``points`` to ``message``."""
        out: list[bytes] = []
        if self._is_plain(points):
            limit = self._family.now if self._has_start and message.has_start else 0
            self._encoders.find((), message).encode_values(out, points, limit)
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

    def encode_natives(self, points: Sequence[Point], message: Message) -> None:
        """Add the native histograms of ``points`` to ``message``, after `encode` has read their other numbers."""
        out: list[bytes] = []
        count = 0
        for point in points:
            native = point.read_native()
            if native is not None:
                key, values = _read_values(point)
                start = int(self._family.get_created(point) * 1000)
                exemplars = self._encode_new_exemplars(native.nh_exemplars or (), message)
                self._native_encoders.find(key, message).encode_native(out, values, native, start, exemplars)
                count += 1
        message.add(b"".join(out), count)

    def _encode_point(self, out: list[bytes], point: Point, message: Message) -> None:
        key, values = _read_values(point)
        encoder = self._encoders.find(key, message)
        numbers = [_pack(number) for number in point.read_numbers()]
        start = int(self._family.get_created(point) * 1000) if self._has_start else 0
        exemplars = point.read_exemplars()
        if exemplars:
            encoder.encode_exemplars(out, values, numbers, start, self._encode_exemplars(exemplars, message))
        else:
            encoder.encode_child(out, values, numbers, start)
        if self._presence is not None:
            self._children[key].note(values, self._presence.payload)

    def _find_layout(self, key: tuple[str, ...]) -> Layout:
        layout = self._layouts.get(key)
        if layout is None:
            layout = self._layouts[key] = make_layout(self._family, key, self._names, self._fixed)
            if self._presence is not None:
                self._children[key] = self._presence.open_live(layout, self._header)
        return layout

    def _encode_exemplars(self, exemplars: Mapping[int, Exemplar], message: Message) -> dict[int, bytes]:
        return {
            index: self._encode_exemplar(exemplar, self._read_time(exemplar), message)
            for index, exemplar in exemplars.items()
        }

    def _encode_new_exemplars(self, exemplars: Iterable[Exemplar], message: Message) -> bytes:
        """Return the exemplars of one series since the last payload, at most one a millisecond.

        Prometheus 3.5 refuses an exemplar that comes before another one of its series, by time and value, and with it
        a request of 2.0 (``ErrOutOfOrderExemplar``). A series of a classic bucket has one exemplar only.
        """
        new = {self._read_time(exemplar): exemplar for exemplar in exemplars}
        return b"".join(
            self._encode_exemplar(new[time], time, message) for time in sorted(new) if self._since < time <= self._now
        )

    def _read_time(self, exemplar: Exemplar) -> int:
        return self._now if exemplar.timestamp is None else read_milliseconds(exemplar.timestamp)

    def _encode_exemplar(self, exemplar: Exemplar, time: int, message: Message) -> bytes:
        labels = {self._names.write_label(name): text for name, text in exemplar.labels.items()}
        labels.pop("", None)
        return message.encode_exemplar(labels, exemplar.value, time)


def _read_values(point: Point) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the labels that a child has of its own, and the values of all of its labels."""
    extra = point.read_extra_labels()
    if not extra:
        return (), point.labelvalues
    return tuple(extra), (*point.labelvalues, *map(to_label_text, extra.values()))
