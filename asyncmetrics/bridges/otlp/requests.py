"""The data points in requests of a bounded size: messages ``ExportMetricsServiceRequest``.

*Theory of operation.*

1. `begin` opens a metric, `add` appends encoded points to it, and `end` closes it.
2. `add` finds that the request has reached its size: it closes the metric and the request, and opens both again. So a
   request exceeds the size by the points of one `add` at most.
3. A request is closed: the sizes of its messages are known only now, and their tags are put before the points. Its
   bytes are compressed by `compress_parts`, a step at a time.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator
from typing import final

from asyncmetrics.bridges.otlp.metric import MetricFrame
from asyncmetrics.bridges.push.deltas import Round
from asyncmetrics.bridges.push.sink import Part
from asyncmetrics.formats.protobuf import encode_block, encode_tag, encode_text, encode_varint
from asyncmetrics.version import __version__

__all__ = ("MAX_BYTES", "MAX_POINTS", "STEP_POINTS", "Requests", "compress_parts")

MAX_BYTES = 1024 * 1024
"""The size at which a request is closed. A larger one would take more than half a millisecond to put together."""

MAX_POINTS = 10_000
STEP_POINTS = 400
"""Data points that one `Requests.add` appends at most: benchmarks/push_otlp.py."""

_MAX_CHANGES = 3_000  # points of a request with changes: a dict of more numbers grows in too long a step

_SCOPE = encode_block(1, encode_text(1, "asyncmetrics") + encode_text(2, __version__))
_SLICE = 8 * 1024  # bytes that are compressed in one step
_GZIP_LEVEL = 1
_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # zlib's way of asking for gzip's header and trailer


@final
class Requests:
    """The requests of one collection. ``resource`` is the encoded message ``Resource``."""

    def __init__(self, resource: bytes, sent: Round | None) -> None:
        self._resource = encode_block(1, resource)
        self._round = sent
        self._max_points = MAX_POINTS - STEP_POINTS if sent is None else _MAX_CHANGES
        self._parts: list[Part] = []
        self._metrics: list[bytes] = []
        self._size = 0
        self._count = 0
        self._frame: MetricFrame | None = None
        self._points: list[bytes] = []
        self._points_size = 0

    def begin(self, frame: MetricFrame) -> None:
        """Open a metric; one without points is not sent."""
        self._frame = frame

    def add(self, points: bytes, count: int) -> Iterator[None]:
        """Append ``count`` encoded data points to the open metric, and close the request in a step of its own."""
        if count:
            self._points.append(points)
            self._points_size += len(points)
            self._count += count
        yield
        if self._count >= self._max_points or self._size + self._points_size >= MAX_BYTES:
            frame = self._frame
            self.end()
            self._close()
            self._frame = frame
            yield

    def end(self) -> None:
        """Close the open metric."""
        if self._frame is not None and self._points:
            before, behind = self._frame.wrap(self._points_size)
            self._metrics += [before, *self._points, behind]
            self._size += len(before) + self._points_size + len(behind)
            self._points = []
            self._points_size = 0
        self._frame = None

    def finish(self) -> list[Part]:
        """Close the last request, and return all of them."""
        if self._metrics:
            self._close()
        return self._parts

    def _close(self) -> None:
        scope_size = len(_SCOPE) + self._size
        scope_head = encode_tag(2, 2) + encode_varint(scope_size)
        size = len(self._resource) + len(scope_head) + scope_size
        head = [encode_tag(1, 2), encode_varint(size), self._resource, scope_head, _SCOPE]
        data = b"".join(head + self._metrics)
        self._parts.append(Part(data, self._count, None if self._round is None else self._round.cut()))
        self._metrics = []
        self._size = self._count = 0


def compress_parts(parts: list[Part]) -> Generator[None, None, list[Part]]:
    """Return ``parts`` with their bytes compressed by gzip, in short steps."""
    compressed = []
    for part in parts:
        pieces = []
        for piece in _compress(part.data):
            pieces.append(piece)
            yield
        compressed.append(Part(b"".join(pieces), part.samples, part.on_sent))
    return compressed


def _compress(data: bytes) -> Iterator[bytes]:
    compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    for start in range(0, len(data), _SLICE):
        yield compressor.compress(data[start : start + _SLICE])
    yield compressor.flush()
