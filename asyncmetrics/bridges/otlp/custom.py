"""The families of custom collectors as data points.

*Rules* (OpenTelemetry, "Prometheus and OpenMetrics Compatibility").

* Leave out what OTLP cannot hold, and report it: gauge histograms ("Dropped Types"), a summary without a count, a time
  before 1970.
* A native histogram wins over the buckets of the same child, since a metric has one type.
* The start time of a series without ``_created`` is 0, which means that it is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from math import inf
from operator import sub
from typing import NamedTuple, TypeAlias, final

from asyncmetrics.bridges.otlp.attributes import encode_attribute, encode_attributes
from asyncmetrics.bridges.otlp.export import Export
from asyncmetrics.bridges.otlp.metric import CUMULATIVE, EXPONENTIAL, GAUGE, HISTOGRAM, SUM, SUMMARY, make_frame
from asyncmetrics.bridges.otlp.native import encode_native_histogram
from asyncmetrics.bridges.otlp.points import (
    MAX_NANOSECONDS,
    HistogramPacker,
    encode_exemplars,
    encode_summary,
    frame_point,
    pack_number,
    to_nanoseconds,
)
from asyncmetrics.formats.writing.claims import Claims
from asyncmetrics.formats.writing.custom_families import list_samples
from asyncmetrics.formats.writing.sample_groups import SampleGroup, group_samples
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.family import LiveFamily, Metric
from asyncmetrics.model.samples import Exemplar, Sample

__all__ = ("encode_custom_family",)

_MAX_COUNT = 2**63


def encode_custom_family(family: Metric, claims: Claims, export: Export) -> Iterator[None]:
    """Add the data points of ``family`` to the requests, in short steps."""
    kind = _KINDS.get(family.type)
    samples = _iterate_samples(family)
    if kind is None:
        export.omissions.add(family, f"OTLP has no {family.type}", sum(1 for _ in samples))
        return
    encoder = _Encoder(family, kind, export)
    temporality = export.temporality if kind.is_delta else CUMULATIVE
    export.requests.begin(make_frame(family, kind.field, temporality))
    for group in group_samples(family, samples, claims, export.omissions):
        if group is not None and group.native is not None:
            encoder.natives.append(group)
        elif group is not None:
            yield from export.requests.add(*encoder.encode(group))
        else:
            yield
    export.requests.end()
    if encoder.natives:
        export.requests.begin(make_frame(family, EXPONENTIAL, CUMULATIVE))
        for group in encoder.natives:
            yield from export.requests.add(*encoder.encode_native(group))
        export.requests.end()


def _iterate_samples(family: Metric) -> Iterable[Sample]:
    return family.iter_samples() if isinstance(family, LiveFamily) else list_samples(family)


class _Times(NamedTuple):
    """The start of a series and the time of a point, in nanoseconds; ``since`` is the Unix time of the last export."""

    start: int
    now: int
    since: float | None = None


_Write: TypeAlias = "Callable[[_Encoder, SampleGroup, _Times], list[bytes] | str]"
"""Returns data points without the attributes that they share, or why there are none."""


class _Kind(NamedTuple):
    field: int
    is_delta: bool
    attributes_field: int
    write: _Write


@final
class _Encoder:
    """Encodes the groups of one family."""

    def __init__(self, family: Metric, kind: _Kind, export: Export) -> None:
        self.family = family
        self.export = export
        self.natives: list[SampleGroup] = []
        self._kind = kind
        self._seen: set[object] = set()

    def encode(self, group: SampleGroup) -> tuple[bytes, int]:
        """Return the data points of a group, and how many these are."""
        times = self._read_times(group)
        if times is None:
            return self._omit(group, "the time is before 1970 or too large")
        points = self._kind.write(self, group, times)
        if isinstance(points, str):
            return self._omit(group, points)
        attributes = self._encode_attributes(self._kind.attributes_field, group)
        bodies = [attributes + point for point in points]
        return b"".join(chain.from_iterable((frame_point(body), body) for body in bodies)), len(bodies)

    def encode_native(self, group: SampleGroup) -> tuple[bytes, int]:
        """Do the same as `encode` for a native histogram."""
        times = self._read_times(group)
        if times is None or group.native is None:
            return self._omit(group, "the time is before 1970 or too large")
        try:
            point = encode_native_histogram(group.native, times.start, times.now)
            exemplars = encode_exemplars(11, group.native.nh_exemplars or (), times.now)
        except Exception as error:  # noqa: BLE001  # the objects of a collector may raise anything
            pass_interruption(error)
            problem = str(error) if type(error) is ValueError else "a native histogram needs numbers and spans"
            return self._omit(group, problem)
        body = self._encode_attributes(1, group) + point + exemplars
        return frame_point(body) + body, 1

    def take(self, group: SampleGroup, times: _Times, numbers: tuple[float, ...]) -> tuple[_Times, tuple[float, ...]]:
        """Return the changes of ``numbers``, or these themselves where cumulative numbers are sent."""
        sent = self.export.round
        if sent is None:
            return times, numbers
        since, changes = sent.take((self.family.name, group.labels, len(numbers)), numbers)
        start = times.start if since is None else int(since * 1e9)
        return _Times(start, times.now, since), changes

    def is_repeated(self, group: SampleGroup) -> bool:
        """Return whether the changes of this series were taken already, at another time of the same series."""
        if self.export.round is None or group.labels not in self._seen:
            self._seen.add(group.labels)
            return False
        return True

    def _read_times(self, group: SampleGroup) -> _Times | None:
        now = self.export.now if group.moment is None else to_nanoseconds(group.moment)
        created = group.numbers.get("_created", 0.0) * 1e9
        return None if now is None else _Times(int(created) if 0 <= created <= MAX_NANOSECONDS else 0, now)

    def _encode_attributes(self, field: int, group: SampleGroup) -> bytes:
        own = dict(group.labels)
        added = ((name, value) for name, value in self.export.labels.items() if name not in own)
        return encode_attributes(field, chain(group.labels, added))

    def _omit(self, group: SampleGroup, reason: str) -> tuple[bytes, int]:
        self.export.omissions.add(self.family, reason, group.size)
        return b"", 0


_REPEATED = "of a series with several times only one change can be sent"


def _write_counter(encoder: _Encoder, group: SampleGroup, times: _Times) -> list[bytes] | str:
    if "_total" not in group.numbers:
        return "a counter needs its _total"
    if encoder.is_repeated(group):
        return _REPEATED
    times, (value,) = encoder.take(group, times, (group.numbers["_total"],))
    exemplars = encode_exemplars(5, _select_new(group.exemplars, times.since), times.now)
    return [pack_number(times.start, times.now, value) + exemplars]


def _write_gauge(encoder: _Encoder, group: SampleGroup, times: _Times) -> list[bytes] | str:  # noqa: ARG001  # the signature of the table
    return [pack_number(times.start, times.now, value) for value in group.numbers.values()]


def _write_stateset(encoder: _Encoder, group: SampleGroup, times: _Times) -> list[bytes] | str:
    return [
        encode_attribute(7, encoder.family.name, state) + pack_number(times.start, times.now, value)
        for state, value in group.states.items()
    ]


def _write_histogram(encoder: _Encoder, group: SampleGroup, times: _Times) -> list[bytes] | str:
    if encoder.is_repeated(group):
        return _REPEATED
    cumulative = list(group.buckets.values())
    counts = tuple(map(sub, cumulative, [0.0, *cumulative]))
    times, changes = encoder.take(group, times, counts)
    total = group.numbers.get("_sum")
    if total is not None:
        _, (total,) = encoder.take(group, times, (total,))
    packer = HistogramPacker([bound for bound in group.buckets if bound != inf])
    exemplars = encode_exemplars(8, _select_new(group.exemplars, times.since), times.now)
    return [packer.pack(times.start, times.now, changes, total) + exemplars]


def _write_summary(encoder: _Encoder, group: SampleGroup, times: _Times) -> list[bytes] | str:  # noqa: ARG001  # as above
    count = group.numbers.get("_count")
    if count is None or not count < _MAX_COUNT:
        return "a summary needs its _count"
    total = group.numbers.get("_sum", 0.0)  # the specification: "the summary's sum MUST be set to zero"
    return [encode_summary(times.start, times.now, int(count), total, group.quantiles)]


def _select_new(exemplars: list[Exemplar], since: float | None) -> list[Exemplar]:
    """Return the exemplars that are newer than the last export."""
    return [one for one in exemplars if since is None or one.timestamp is None or float(one.timestamp) > since]


_KINDS: dict[str, _Kind] = {
    "counter": _Kind(SUM, True, 7, _write_counter),
    "gauge": _Kind(GAUGE, False, 7, _write_gauge),
    "unknown": _Kind(GAUGE, False, 7, _write_gauge),
    "info": _Kind(SUM, False, 7, _write_gauge),
    "stateset": _Kind(SUM, False, 7, _write_stateset),
    "histogram": _Kind(HISTOGRAM, True, 9, _write_histogram),
    "summary": _Kind(SUMMARY, False, 7, _write_summary),
}
