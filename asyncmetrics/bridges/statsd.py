"""`StatsD`: metrics sent to StatsD, DogStatsD or one of their relatives, by UDP or a Unix socket.

https://github.com/statsd/statsd/blob/master/docs/metric_types.md and
https://docs.datadoghq.com/developers/dogstatsd/datagram_shell/: a line is ``name:value|type``, and a datagram holds
several lines.

*Rules.*

* Counters, buckets, counts and sums are sent as what they have grown by (``|c``); everything else is sent as it is
  (``|g``).
* A number counts as sent once its datagram was sent, and not before: see `asyncmetrics.bridges.push.deltas`.
* StatsD reads ``-5|g`` as a decrement. A line with 0 goes before it, in the same datagram. DogStatsD has no decrements.
* Never cut a line. Leave out one that no datagram can hold, and NaN and infinities, which StatsD has no text for.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Mapping
from math import isfinite
from typing import ClassVar, Literal, TypeAlias, final

import anyio

from asyncmetrics.bridges.push.datagrams import DatagramWriter, Line
from asyncmetrics.bridges.push.deltas import Deltas, Round
from asyncmetrics.bridges.push.identity import Identity
from asyncmetrics.bridges.push.paths import Escaper, PathStyle, check_prefix, make_order, make_path
from asyncmetrics.bridges.push.series import Child, Layout, SeriesReader, SeriesRow, check_labels
from asyncmetrics.bridges.push.sink import Part, Payload, Sink
from asyncmetrics.bridges.push.streams import DatagramSender, check_host
from asyncmetrics.formats.writing.omissions import Omissions
from asyncmetrics.model.checks import check_choice, check_limit, check_path, check_seconds, make_refusal
from asyncmetrics.model.family import Metric

__all__ = ("StatsD", "Tags")

Tags: TypeAlias = Literal["datadog", "graphite", "influx"]
"""How labels are written: ``name:1|c|#label:value``, ``name;label=value:1|c`` or ``name,label=value:1|c``."""

# A burst is received faster than the server reads it: the loopback drops what exceeds the server's buffer, which holds
# 92 datagrams of 1,432 bytes (Linux, rmem_default 212,992). With this pace a server may pause for 40 ms.
_BURST = 2
_PAUSE_SECONDS = 0.001

_STEP = 16  # children in one step of an event loop: benchmarks/push_plain.py
_MAX_UDP_BYTES = 65_507
_WHOLE = 1e15  # below it a whole number is written without a fraction or an exponent
_TOO_LONG = "the line is longer than a datagram may be (max_datagram_bytes=)"
_NOT_FINITE = "StatsD has no text for NaN and infinities"


def _make_style(tags: Tags | None) -> PathStyle:
    # The server of Node.js removes everything else: only letters, digits and "_-.;=" are left of a name.
    plain = Escaper("-", r"\w")
    match tags:
        case None:
            return PathStyle(plain, plain, ".", ".", ".")
        case "graphite":
            return PathStyle(plain, Escaper("-", r"\w."), ";", "=", ";", reserved="name")
        case "influx":
            return PathStyle(plain, Escaper("-", r"\w."), ",", "=", ",")
        case "datadog":
            return PathStyle(Escaper("%", r"\w."), Escaper("%", r"\w./:@{}<>()+=*?&$!-"), "|#", ":", ",")


@final
class StatsD(Sink):
    """A StatsD server, to which metrics are sent by UDP to ``host:port``, or by Unix datagrams to ``path``.

    - ``tags``: how labels are written (see `Tags`). By default they become parts of the name, which every server
      understands: ``http_requests_total.job.shop.method.GET:1|c``.
    - ``prefix``: what each name begins with, such as ``"shop.production"``.
    - ``max_datagram_bytes``: the longest datagram. 1,432 bytes pass an Ethernet in one piece; on the loopback and for
      Unix sockets 8,192 are better.
    - ``timeout``: seconds for each datagram.
    - ``labels``: labels that are added to each series, beside ``job`` and ``instance``.

    Raises `DefinitionError` for a wrong value of an argument.
    """

    name: ClassVar[str] = "statsd"
    sends_changes: bool = True

    def __init__(
        self,
        host: str = "localhost",
        port: int = 8125,
        *,
        path: str | os.PathLike[str] | None = None,
        tags: Tags | None = None,
        prefix: str = "",
        max_datagram_bytes: int = 1432,
        timeout: float = 10.0,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        check_host(host, port)
        if path is not None:
            check_path("path", path)
        check_choice("tags", tags, (None, "datadog", "graphite", "influx"))
        check_limit("max_datagram_bytes", max_datagram_bytes)
        if max_datagram_bytes > _MAX_UDP_BYTES:
            raise make_refusal("max_datagram_bytes", f"at most {_MAX_UDP_BYTES}", max_datagram_bytes)
        check_seconds("timeout", timeout)
        self._labels = check_labels(labels)
        self._prefix = check_prefix(prefix)
        self._style = _make_style(tags)
        self._max_bytes = max_datagram_bytes
        self._deltas = Deltas()
        self._sender = DatagramSender(host, port, None if path is None else os.fspath(path), timeout=timeout)
        self._sent = 0

    def encode_in_steps(
        self, families: Iterable[Metric], now: float, identity: Identity
    ) -> Generator[None, None, Payload]:
        """Do the same as `encode`, in steps of less than half a millisecond."""
        added = {"job": identity.job, "instance": identity.instance, **self._labels}
        reader = SeriesReader(self.name, added, self.find_omission_handler())
        payload = Payload(now)
        yield from self._deltas.prepare()
        taken = self._deltas.begin(now)
        datagrams = DatagramWriter(self._max_bytes, taken, payload.parts)
        formats: dict[Layout, _LayoutFormat] = {}
        for family, layout, children in reader.read(families):
            form = formats.get(layout)
            if form is None:
                form = formats[layout] = _LayoutFormat(self._style, self._prefix, layout, taken)
            for number, child in enumerate(children):
                series, then, lines = form.write(child)
                if lines:
                    datagrams.add(self._leave_out(lines, family, reader.omissions), series, then)
                if number % _STEP == _STEP - 1:
                    yield
            yield
        datagrams.close()
        yield from taken.finish_in_steps()
        return payload

    def _leave_out(self, lines: list[Line], family: Metric, omissions: Omissions) -> list[Line]:
        """Return the lines that can be sent."""
        if all(line.text and len(line.text) <= self._max_bytes for line in lines):
            return lines
        kept: list[Line] = []
        for line in lines:
            if not line.text:
                omissions.add(family, _NOT_FINITE)
            elif len(line.text) > self._max_bytes:
                omissions.add(family, _TOO_LONG)
            else:
                kept.append(line)
        return kept

    async def send_part(self, part: Part) -> None:
        """Send one datagram. Raises `PushError` (an OSError) if the system refuses it, or nothing listens there."""
        await self._sender.send(part.data)
        self._sent += 1
        if not self._sent % _BURST:
            await anyio.sleep(_PAUSE_SECONDS)

    async def close(self) -> None:
        """Close the socket; the next `send` opens another one."""
        self._sender.close()

    def __repr__(self) -> str:
        return f"StatsD({self._sender.target!r})"


@final
class _LayoutFormat:
    """Writes the lines of the children of one layout."""

    def __init__(self, style: PathStyle, prefix: str, layout: Layout, taken: Round) -> None:
        self._key = layout.key
        self._take = taken.take
        self._order = make_order(layout.names, style.values)
        self._is_datadog = style.first == "|#"
        self._formats = [self._make_format(style, prefix.replace("%", "%%"), layout, row) for row in layout.rows]
        self._counters = tuple([index for index, row in enumerate(layout.rows) if row.is_cumulative])
        self._gauges = tuple([index for index, row in enumerate(layout.rows) if not row.is_cumulative])
        self._may_fall = {place for place, index in enumerate(self._counters) if layout.rows[index].may_fall}

    def _make_format(self, style: PathStyle, prefix: str, layout: Layout, row: SeriesRow) -> str:
        name, labels = make_path(style, layout, row)
        kind = "c" if row.is_cumulative else "g"
        return f"{prefix}{name}:%s|{kind}{labels}" if self._is_datadog else f"{prefix}{name}{labels}:%s|{kind}"

    def write(self, child: Child) -> tuple[tuple[object, ...], float | None, list[Line]]:
        """Return the key of a child, when it was last sent, and its lines; those that cannot be sent are empty."""
        values, numbers, _ = child
        series = (self._key, values)
        lines: list[Line] = []
        then = None
        if self._counters:
            counted = tuple([numbers[index] for index in self._counters])
            then, growth = self._take(series, counted, self._may_fall)
            if any(growth):
                written = self._order(values)
                lines += [
                    Line(self._write_line(index, written, amount), place)
                    for place, (index, amount) in enumerate(zip(self._counters, growth, strict=True))
                    if amount
                ]
        if self._gauges:
            written = self._order(values)
            lines += [Line(self._write_gauge(index, written, numbers[index]), None) for index in self._gauges]
        return series, then, lines

    def _write_gauge(self, index: int, written: tuple[str, ...], number: float) -> str:
        line = self._write_line(index, written, number)
        if self._is_datadog or not number < 0 or not line:
            return line
        return f"{self._write_line(index, written, 0.0)}\n{line}"

    def _write_line(self, index: int, written: tuple[str, ...], number: float) -> str:
        if not isfinite(number):
            return ""
        value = str(int(number)) if -_WHOLE < number < _WHOLE and number == int(number) else repr(number)
        fields = (value, *written) if self._is_datadog else (*written, value)
        return self._formats[index] % fields
