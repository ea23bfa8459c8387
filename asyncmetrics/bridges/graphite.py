"""`Graphite`: metrics pushed to Graphite's plaintext port.

https://graphite.readthedocs.io/en/latest/feeding-carbon.html: a line is ``path value timestamp``. With tags, which
Graphite has since 1.1 (https://graphite.readthedocs.io/en/latest/tags.html), a path is ``name;tag=value``, and else
``name.label.value``.

*Rules.*

* Carbon (1.1.7) closes the connection for a line that is longer than 16,384 bytes or is not UTF-8. Leave out the first
  and write ASCII only.
* Carbon splits a line at any whitespace, joins empty parts of a path, takes a ``/`` for a part of its own, and reads a
  path that ends in ``"}`` as OpenMetrics. Escape all of these.
* Carbon takes the tag ``name`` for the name of the series. Escape this label's name.
* Carbon drops NaN without a word. Leave it out and count it. It stores infinities.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from math import isnan
from typing import ClassVar, final

from asyncmetrics.bridges.push.http_options import Tls, make_tls
from asyncmetrics.bridges.push.identity import Identity
from asyncmetrics.bridges.push.paths import Escaper, PathStyle, check_prefix, make_order, make_path
from asyncmetrics.bridges.push.series import Batch, Child, Layout, SeriesReader, check_labels
from asyncmetrics.bridges.push.sink import Part, Payload, Sink
from asyncmetrics.bridges.push.streams import StreamSender, check_host
from asyncmetrics.model.checks import check_flag, check_seconds
from asyncmetrics.model.family import Metric

__all__ = ("Graphite",)

_PART_BYTES = 64 * 1024
_MAX_LINE_BYTES = 16_000  # Twisted's LineOnlyReceiver closes the connection after 16,384
_TOO_LONG = "the line is too long for Graphite"
_NOT_A_NUMBER = "Graphite has no NaN"


def _make_style(*, tags: bool) -> PathStyle:
    names = Escaper("%", r"\w-") if not tags else Escaper("%", r"\w:-")
    if tags:
        return PathStyle(names, Escaper("%", r"\w./:+,@{}()\[\]<>=?&#$*!^|-"), ";", "=", ";", reserved="name")
    return PathStyle(names, names, ".", ".", ".")


@final
class Graphite(Sink):
    """A Graphite server, to whose plaintext port ``host:port`` metrics are sent over TCP.

    - ``tags``: whether labels become tags, ``http_requests_total;job=shop;method=GET``, which Graphite has since 1.1;
      otherwise they become parts of the path, ``http_requests_total.job.shop.method.GET``.
    - ``prefix``: what each path begins with, such as ``"shop.production"``.
    - ``tls``: an ``ssl.SSLContext``, the path of a file of certificates (PEM) that are trusted in addition, or True for
      what the system trusts; by default, no TLS.
    - ``timeout``: seconds to send a part of 64 KiB, connecting included.
    - ``labels``: labels that are added to each series, beside ``job`` and ``instance``.

    Raises `DefinitionError` for a wrong value of an argument.
    """

    name: ClassVar[str] = "graphite"

    def __init__(
        self,
        host: str,
        port: int = 2003,
        *,
        tags: bool = True,
        prefix: str = "",
        tls: Tls | bool | None = None,
        timeout: float = 10.0,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        check_host(host, port)
        check_flag("tags", tags)
        check_seconds("timeout", timeout)
        self._labels = check_labels(labels)
        self._prefix = check_prefix(prefix)
        self._style = _make_style(tags=tags)
        context = tls if isinstance(tls, bool) else make_tls("tls", tls)
        self._sender = StreamSender(host, port, tls=context, timeout=timeout)

    def encode_in_steps(
        self, families: Iterable[Metric], now: float, identity: Identity
    ) -> Generator[None, None, Payload]:
        """Do the same as `encode`, in steps of less than half a millisecond."""
        added = {"job": identity.job, "instance": identity.instance, **self._labels}
        reader = SeriesReader(self.name, added, self.find_omission_handler())
        writer = _LineWriter(reader, self._style, self._prefix, int(now))
        payload = Payload(now)
        lines: list[str] = []
        size = samples = 0
        for batch in reader.read(families):
            text, count = writer.write(batch)
            lines.append(text)
            size += len(text)
            samples += count
            if size >= _PART_BYTES:
                payload.parts.append(Part("".join(lines).encode("ascii"), samples))
                lines.clear()
                size = samples = 0
            yield
        if lines:
            payload.parts.append(Part("".join(lines).encode("ascii"), samples))
        return payload

    async def send_part(self, part: Part) -> None:
        """Send one part. Raises `PushError` (an OSError) if the server cannot be reached, or closes the connection."""
        await self._sender.send(part.data)

    async def close(self) -> None:
        """Close the connection; the next `send` opens another one."""
        self._sender.close()

    def __repr__(self) -> str:
        return f"Graphite({self._sender.target!r})"


@final
class _LineWriter:
    """Writes the lines of one payload."""

    def __init__(self, reader: SeriesReader, style: PathStyle, prefix: str, now: int) -> None:
        self._omissions = reader.omissions
        self._style = style
        self._prefix = prefix.replace("%", "%%")
        self._now = now
        self._formats: dict[Layout, _LayoutFormat] = {}

    def write(self, batch: Batch) -> tuple[str, int]:
        """Return the lines of a batch, and their number."""
        family, layout, children = batch
        if not children:
            return "", 0
        form = self._formats.get(layout)
        if form is None:
            form = self._formats[layout] = _LayoutFormat(self._style, self._prefix, layout)
        texts = form.write(children, self._now)
        if max(map(len, texts)) <= _MAX_LINE_BYTES and not any(map(_has_nan, children)):
            return "".join(texts), len(texts) * len(layout.rows)
        lines = [line for child in children for line in self._write_some(family, form, child)]
        return "".join(lines), len(lines)

    def _write_some(self, family: Metric, form: _LayoutFormat, child: Child) -> Iterator[str]:
        """Yield the lines of a child that can be sent."""
        values, numbers, time = child
        for row, number in zip(form.rows, numbers, strict=True):
            line = row % (*form.order(values), number, self._now if time is None else int(time))
            if isnan(number):
                self._omissions.add(family, _NOT_A_NUMBER)
            elif len(line) > _MAX_LINE_BYTES:
                self._omissions.add(family, _TOO_LONG)
            else:
                yield line


def _has_nan(child: Child) -> bool:
    return isnan(sum(child[1]))  # also of two different infinities, which are sent


@final
class _LayoutFormat:
    """The templates of one layout: one for each row, and one for all rows of a child."""

    def __init__(self, style: PathStyle, prefix: str, layout: Layout) -> None:
        paths = (make_path(style, layout, row) for row in layout.rows)
        self.rows = [f"{prefix}{name}{labels} %s %s\n" for name, labels in paths]
        self.order = make_order(layout.names, style.values)
        self._all = "".join(self.rows)

    def write(self, children: Sequence[Child], now: int) -> list[str]:
        """Return the lines of each child."""
        order, template = self.order, self._all
        if len(self.rows) == 1:
            return [
                template % (*order(values), numbers[0], now if time is None else int(time))
                for values, numbers, time in children
            ]
        texts: list[str] = []
        for values, numbers, time in children:
            written = order(values)
            when = now if time is None else int(time)
            fields: list[object] = []
            for number in numbers:
                fields += (*written, number, when)
            texts.append(template % tuple(fields))
        return texts
