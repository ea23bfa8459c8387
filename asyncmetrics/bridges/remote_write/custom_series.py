"""Series of the samples that custom collectors yield, which may hold anything.

*Rules.*

* Send all samples of a series together, in the order of their times; of two with one time, the first.
* Send no ``_created`` sample: it is the start of the other series of its child.
* Leave out a sample that cannot be sent, and report it. Never leave out another one.
* Keep apart what a receiver may refuse though nothing is wrong with it: samples with a time of their own, which may be
  too old for it, and native histograms, which it may not have. Prometheus 2.42 refuses all that is in one request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from struct import Struct
from typing import NamedTuple, final

from asyncmetrics.bridges.remote_write.histograms import encode_native_histogram
from asyncmetrics.bridges.remote_write.layout import NAME, Names, make_header
from asyncmetrics.bridges.remote_write.messages import Header, Message
from asyncmetrics.bridges.remote_write.staleness import STALE, Labels, Presence
from asyncmetrics.bridges.remote_write.times import read_milliseconds
from asyncmetrics.formats.numbers import parse_bound
from asyncmetrics.formats.writing.claims import Claims
from asyncmetrics.formats.writing.custom_families import list_samples
from asyncmetrics.formats.writing.omissions import Omissions
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.family import Metric
from asyncmetrics.model.kinds import KINDS, NUMERIC_LABELS
from asyncmetrics.model.names import to_label_text
from asyncmetrics.model.samples import Exemplar, NativeHistogram, Sample

__all__ = ("CustomSeries", "encode_end")

_STEP = 32  # samples in one step of an event loop
_UNREADABLE = "a sample needs a printable name, labels, a number or a native histogram, and a finite time"

_pack = Struct("<d").pack


_MOST_AHEAD = 600_000  # milliseconds: from then on a scrape of Prometheus drops a sample ("maxAheadTime")


class _Exemplar(NamedTuple):
    labels: dict[str, str]
    value: float
    time: int | None


class _Reading(NamedTuple):
    """One sample, as far as it depends on no message."""

    value: float
    exemplars: tuple[_Exemplar, ...]
    histogram: NativeHistogram | None
    is_timed: bool


@final
class CustomSeries:
    """Reads the samples of a custom family, and encodes its series into whichever message is being filled."""

    def __init__(
        self, family: Metric, names: Names, fixed: Mapping[str, str], now: int, claims: Claims, omissions: Omissions
    ) -> None:
        kind = KINDS[family.type]
        self._family = family
        self._names = names
        self._fixed = fixed
        self._now = now
        self._claims = claims
        self._omissions = omissions
        self._header = make_header(family, names)
        self._suffixes = {family.name + suffix: suffix for suffix in (*kind.suffixes, *kind.totals)}
        self._created = f"{family.name}_created" if kind.has_created else ""
        self._own = kind.own_label if kind.own_label in NUMERIC_LABELS else ""
        self._starts: dict[Labels, int] = {}
        self._series: dict[Labels, dict[int, _Reading]] = {}
        self._apart: set[Labels] = set()

    def read(self) -> Iterator[None]:
        """Read all samples, in steps."""
        for number, raw in enumerate(list_samples(self._family)):
            try:
                problem = self._read_sample(raw)
            except Exception as error:  # noqa: BLE001  # the objects of a collector may raise anything: it costs this sample only
                pass_interruption(error)
                problem = _UNREADABLE
            if problem:
                self._omissions.add(self._family, problem)
            if number % _STEP == _STEP - 1:
                yield

    @property
    def has_apart(self) -> bool:
        """Whether there are series that have to be sent apart."""
        return bool(self._apart)

    def iterate_series(self) -> Iterator[tuple[Labels, bool]]:
        """Yield the labels of all series that were read, and whether the series has to be sent apart."""
        return ((labels, labels in self._apart) for labels in self._series)

    def note(self, labels: Labels, presence: Presence) -> None:
        """Note that this payload has the series with ``labels``."""
        # A series whose samples have times ends by itself: a mark would come after a later sample of it.
        if labels not in self._apart or not any(reading.is_timed for reading in self._series[labels].values()):
            presence.open_custom(self._header).note(labels, presence.payload)

    def encode(self, labels: Labels, message: Message) -> None:
        """Add the series with ``labels`` to ``message``."""
        readings = self._series[labels]
        start = self._starts.get(self._find_child(labels), 0) if self._starts else 0
        fields = [self._encode_reading(reading, message, time, start) for time, reading in sorted(readings.items())]
        if any(reading.histogram is not None for reading in readings.values()):
            start = 0  # see `encode_native_histogram`
        _encode_series(labels, b"".join(fields), message, self._header, start, len(readings))

    def _read_sample(self, raw: Sample) -> str:
        """Keep a sample, or return why it cannot be sent."""
        name = raw.name
        if not name or not name.isprintable():
            return _UNREADABLE
        time = self._now if raw.timestamp is None else read_milliseconds(raw.timestamp)
        if time > self._now + _MOST_AHEAD:  # Prometheus 2.42 takes it, and then refuses all that is an hour older
            return "the time is more than ten minutes ahead"
        labels = self._read_labels(raw.labels)
        if self._own in labels and parse_bound(labels[self._own]) is None:
            return f"the label {self._own} is no number"
        if name == self._created:
            self._starts[tuple(sorted(labels.items()))] = min(read_milliseconds(float(raw.value)), time)
            return ""
        histogram = raw.native_histogram
        written = self._write_name(name, is_native=histogram is not None)
        if not written:
            return "a stray sample has the name of another family"
        problem = "" if histogram is None else _find_problem(histogram)
        if problem:
            return problem
        exemplars = [*((raw.exemplar,) if raw.exemplar else ()), *((histogram and histogram.nh_exemplars) or ())]
        read = tuple(filter(None, map(self._read_exemplar, exemplars)))
        reading = _Reading(float(raw.value), read, histogram, raw.timestamp is not None)
        labels[NAME] = written
        series = tuple(sorted(labels.items()))
        readings = self._series.setdefault(series, {})
        if reading.is_timed or histogram is not None:
            self._apart.add(series)
        return "" if readings.setdefault(time, reading) is reading else "the series occurs twice"

    def _read_labels(self, raw: Mapping[str, str]) -> dict[str, str]:
        """Return labels under their written names, with those of all series, and without the empty ones."""
        labels = dict(self._fixed)
        labels.update((self._names.write_label(name), to_label_text(text)) for name, text in raw.items())
        labels.pop("", None)
        return {name: text for name, text in labels.items() if text}

    def _write_name(self, name: str, *, is_native: bool) -> str:
        """Return the written name of a sample, or ``""`` if it belongs to another family."""
        suffix = "" if is_native and name == self._family.name else self._suffixes.get(name)
        if suffix is not None:
            return self._names.write_metric(self._family.name, suffix)
        return self._names.write_metric(name) if self._claims.name_stray(self._family, name) else ""

    def _read_exemplar(self, raw: Exemplar) -> _Exemplar | None:
        """Return an exemplar, or None if it cannot be sent: the sample is sent without it."""
        try:
            labels = {self._names.write_label(name): to_label_text(text) for name, text in raw.labels.items()}
            labels.pop("", None)
            return _Exemplar(
                labels, float(raw.value), None if raw.timestamp is None else read_milliseconds(raw.timestamp)
            )
        except Exception as error:  # noqa: BLE001  # as in `read`
            pass_interruption(error)
            return None

    def _find_child(self, labels: Labels) -> Labels:
        """Return the labels of the child that a series belongs to."""
        return tuple(item for item in labels if item[0] not in {NAME, self._own})

    def _encode_reading(self, reading: _Reading, message: Message, time: int, start: int) -> bytes:
        if reading.histogram is not None:
            begin = start if message.has_start else 0
            field = encode_native_histogram(message.histogram_field, reading.histogram, time, begin)
        else:
            field = message.encode_sample(_pack(reading.value), time, start)
        exemplars = (
            message.encode_exemplar(labels, value, time if own is None else own)
            for labels, value, own in reading.exemplars
        )
        return field + b"".join(exemplars)


def _find_problem(histogram: NativeHistogram) -> str:
    """Return why a native histogram cannot be sent, or ``""``."""
    try:
        encode_native_histogram(1, histogram, 0)
    except ValueError as error:
        return str(error)
    return ""


def encode_end(labels: Labels, message: Message, header: Header, now: int) -> None:
    """Add the end mark of a series to ``message``."""
    _encode_series(labels, message.encode_sample(STALE, now, 0), message, header, 0, 1)


def _encode_series(labels: Labels, fields: bytes, message: Message, header: Header, start: int, samples: int) -> None:
    block = message.encode_sorted_labels(labels)
    rest = fields + message.describe(header) + message.encode_start(start)
    message.add(b"".join((message.make_frame(len(block), len(rest)), block, rest)), samples)
