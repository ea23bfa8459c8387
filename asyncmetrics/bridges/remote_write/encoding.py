"""From families to compressed requests of a bounded size, in steps of less than half a millisecond.

*Theory of operation.*

1. All families claim their names, so that no two of them send the same series.
2. The series of each family are encoded into the message that is being filled, some at a time.
3. A message that is full is compressed and becomes a request; the next series begin another one. A request has the
   metadata of its families.
4. The series that are gone since the last payload get an end mark.
5. Series that a receiver may refuse, such as native histograms, follow in requests of their own: see `CustomSeries`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias, final

from asyncmetrics.bridges.remote_write.custom_series import CustomSeries, encode_end
from asyncmetrics.bridges.remote_write.layout import Names
from asyncmetrics.bridges.remote_write.live_series import LiveSeries, SeriesEncoder
from asyncmetrics.bridges.remote_write.messages import Message, make_message
from asyncmetrics.bridges.remote_write.snappy import compress_in_steps
from asyncmetrics.bridges.remote_write.staleness import Marked, Presence
from asyncmetrics.bridges.remote_write.times import read_milliseconds
from asyncmetrics.formats.writing.claims import Claims
from asyncmetrics.formats.writing.omissions import OmissionHandler, Omissions
from asyncmetrics.model.escaping import ALLOW_UTF_8, UNDERSCORES
from asyncmetrics.model.family import LiveFamily, Metric
from asyncmetrics.model.kinds import KINDS

__all__ = ("MAX_BYTES", "MAX_SAMPLES", "Request", "encode_requests")

MAX_SAMPLES = 3_000
"""How many samples a request may hold. To free what 10,000 need takes a step of 0.8 ms: benchmarks/push.py."""

MAX_BYTES = 2_000_000
"""From which size on a request is full, in bytes before compression."""

_STEP = 48  # series that are encoded in one step: benchmarks/push.py
_NATIVE_ROWS = 32  # a native histogram of 60 buckets takes 0.15 ms, as long as this many series

_STEP_BYTES = 64 * 1024  # from which size on the next step is shorter

FORMAT = "remote_write"
"""The label ``format`` of the samples that are left out."""


class Request(NamedTuple):
    """One request: its compressed message, how many samples it holds, and the series that have an end mark in it."""

    data: bytes
    samples: int
    marked: Marked


Steps: TypeAlias = Iterator[None]


def encode_requests(
    families: Iterable[Metric],
    now: float,
    *,
    version: int,
    escaping: str | None,
    fixed: Mapping[str, str],
    presence: Presence | None,
    since: float,
    on_omitted: OmissionHandler | None,
) -> Generator[None, None, list[Request]]:
    """Return the requests for ``families`` at the Unix time ``now``.

    ``fixed`` are labels of all series that have no label of that name. ``presence`` notes the series, and knows those
    that are gone. ``since`` is the Unix time of the payload before this one, or 0.
    """
    names = Names(escaping or (UNDERSCORES if version == 1 else ALLOW_UTF_8))
    written = {name: text for label, text in fixed.items() if (name := names.write_label(label)) and text}
    moments = read_milliseconds(now), read_milliseconds(since)
    work = _Work(version, names, written, *moments, presence, Omissions(FORMAT, on_omitted))
    if presence is not None:
        yield from presence.begin()
    claims = Claims(names.escaping, work.omissions)
    chosen: list[Metric] = []
    for family in claims.iterate_families(families):
        if claims.claim(family, _list_claims(family)):
            chosen.append(family)
        yield
    for family in chosen:
        if isinstance(family, LiveFamily):
            yield from work.encode_live(family)
        else:
            yield from work.encode_custom(family, claims)
    if presence is not None:
        yield from work.mark_ends(presence)
    yield from work.main.cut()
    yield from work.encode_apart()
    yield from work.apart.cut()
    return work.main.requests + work.apart.requests


def _list_claims(family: Metric) -> list[str]:
    """Return the suffixes of all names that a family sends."""
    kind = KINDS[family.type]
    return [kind.text_suffix, *kind.suffixes, *kind.totals]


@final
@dataclass
class _Filling:
    """The message that is being filled, and the requests before it."""

    version: int
    requests: list[Request] = field(default_factory=list)
    marked: Marked = field(default_factory=list)

    def __post_init__(self) -> None:
        self.message = make_message(self.version)

    def make_room(self, samples: int) -> Steps:
        """Begin another message unless this one has room for so many samples."""
        if self.message.samples + samples > MAX_SAMPLES or self.message.size >= MAX_BYTES:
            yield from self.cut()

    def cut(self) -> Steps:
        """Compress the message, in steps, and begin another one."""
        message, self.message = self.message, make_message(self.version)
        if message.samples:
            data = yield from compress_in_steps(message.list_pieces())
            marked, self.marked = self.marked, []
            self.requests.append(Request(data, message.samples, marked))
            del message  # it takes 0.1 ms to free
            yield


@final
@dataclass
class _Work:
    """One payload. ``apart`` has the requests with what a receiver may refuse though nothing is wrong with it."""

    version: int
    names: Names
    fixed: Mapping[str, str]
    now: int
    since: int
    presence: Presence | None
    omissions: Omissions
    custom: list[CustomSeries] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.main, self.apart = _Filling(self.version), _Filling(self.version)

    def encode_live(self, family: LiveFamily) -> Steps:
        series = LiveSeries(family, self.names, self.fixed, self.now, self.presence, self.since)
        rows, natives = series.rows, int(family.has_native)
        step = max(1, _STEP // max(1, rows + natives * _NATIVE_ROWS))
        for batch in family.read_batches():
            yield
            start = 0
            while start < len(batch):
                points = batch[start : start + step]
                start += step
                yield from self.main.make_room(len(points) * rows)
                before = self.main.message.size
                series.encode(points, self.main.message)
                if natives:
                    yield from self.apart.make_room(len(points))
                    series.encode_natives(points, self.apart.message)
                if self.main.message.size - before > _STEP_BYTES:  # long values: neither step nor request may be large
                    step = max(1, step // 4)
                yield

    def encode_custom(self, family: Metric, claims: Claims) -> Steps:
        series = CustomSeries(family, self.names, self.fixed, self.now, claims, self.omissions)
        yield from series.read()
        yield from self._encode_series(series, self.main, apart=False)
        if series.has_apart:
            self.custom.append(series)

    def encode_apart(self) -> Steps:
        """Encode the series of custom families that have to be sent apart."""
        for series in self.custom:
            yield from self._encode_series(series, self.apart, apart=True)

    def _encode_series(self, series: CustomSeries, filling: _Filling, *, apart: bool) -> Steps:
        for number, (labels, is_apart) in enumerate(series.iterate_series()):
            if is_apart is apart:
                yield from filling.make_room(1)
                series.encode(labels, filling.message)
            if self.presence is not None and not apart:  # once, and before the ends are marked
                series.note(labels, self.presence)
            if not number % _CUSTOM_STEP:
                yield

    def mark_ends(self, presence: Presence) -> Steps:
        """Add the end marks of the series that are gone."""
        main = self.main
        encoder: SeriesEncoder | None = None
        message: Message | None = None
        for layout, children, gone in presence.iterate_gone_live():
            for values in gone if self.names.keeps(layout.list_parts()) else ():
                yield from main.make_room(len(layout.all_rows))
                if encoder is None or message is not main.message or encoder.layout is not layout:
                    message = main.message
                    encoder = SeriesEncoder(layout, message, children.header, self.now)
                out: list[bytes] = []
                encoder.encode_ends(out, values)
                main.message.add(b"".join(out), len(layout.all_rows))
                main.marked.append((presence.payload, children, values))
            yield
        for family, series in presence.iterate_gone_custom():
            for labels in filter(self.names.keeps, series):
                yield from main.make_room(1)
                encode_end(labels, main.message, family.header, self.now)
                main.marked.append((presence.payload, family, labels))
            yield


_CUSTOM_STEP = 32
