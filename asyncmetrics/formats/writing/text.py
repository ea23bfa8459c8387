"""From families to the Prometheus text formats 0.0.4 and 1.0.0.

https://prometheus.io/docs/instrumenting/exposition_formats/. The two differ only in the escaping schemes that a client
may ask for. Neither has UNIT, exemplars or an end mark. A kind that they do not know is written as the nearest one
(`MetricKind.text_type`).

*Rules.*

* Write the same bytes as prometheus_client, unless Prometheus or one of its parsers refuses them.
* Write a series once, with its newest time: a line has "a unique combination of a metric name and labels". Prometheus
  (2.42) stores several if their times increase; a query returns the newest in any order.
* Report each sample that is left out (``omissions``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import final

from asyncmetrics.formats.numbers import format_number, parse_bound
from asyncmetrics.formats.writing.chunks import join_chunks
from asyncmetrics.formats.writing.claims import FOREIGN_SUFFIXES, Claims
from asyncmetrics.formats.writing.custom_families import UNREADABLE, SampleReader, get_help, list_samples
from asyncmetrics.formats.writing.lines import escape_help, format_labels, format_name, format_sample_line
from asyncmetrics.formats.writing.live_families import FamilyLabels, format_rows, render_created, render_live_family
from asyncmetrics.formats.writing.omissions import TEXT, OmissionHandler, Omissions
from asyncmetrics.model.escaping import UNDERSCORES
from asyncmetrics.model.family import LiveFamily, Metric
from asyncmetrics.model.kinds import KINDS, NUMERIC_LABELS
from asyncmetrics.model.samples import Sample, Timestamp

__all__ = ("encode_text",)

# Timestamps in milliseconds. promtool refuses more than 63 bits, and Prometheus (2.42) a sign, which it reads in
# OpenMetrics.
_MAX_TIME = 10**18

_STEP = 64  # samples in one step of an event loop: benchmarks/scrape.py


def encode_text(
    families: Iterable[Metric], *, escaping: str = UNDERSCORES, on_omitted: OmissionHandler | None = None
) -> Iterator[bytes]:
    """Yield the exposition of ``families`` in chunks.

    A sample that cannot be written is left out and reported to ``on_omitted`` (see `OmissionHandler`).
    """
    return join_chunks(_render_families(families, escaping, Omissions(TEXT, on_omitted)))


def _render_families(families: Iterable[Metric], escaping: str, omissions: Omissions) -> Iterator[str | None]:
    claims = Claims(escaping, omissions)
    chosen: list[Metric] = []
    for family in claims.iterate_families(families):  # before the first stray sample is written
        if claims.claim(family, _list_claims(family)):
            chosen.append(family)
        yield ""
    for family in chosen:
        kind = KINDS[family.type]
        yield _format_header(family, escaping, kind.text_suffix, kind.text_type)
        if isinstance(family, LiveFamily):
            yield from _render_live_family(family, escaping)
        else:
            yield from _render_custom_family(family, escaping, claims, omissions)


def _list_claims(family: Metric) -> list[str]:
    """Return the suffixes of all names that a family writes, or that a reader takes for its own by the written type."""
    kind = KINDS[family.type]
    return [kind.text_suffix, *kind.suffixes, *(KINDS[kind.text_type].totals if kind.text_type in KINDS else ())]


def _format_header(family: Metric, escaping: str, suffix: str, kind: str) -> str:
    written = format_name(family.name, escaping, suffix)
    return f"# HELP {written} {escape_help(get_help(family), quotes=False)}\n# TYPE {written} {kind}\n"


def _render_live_family(family: LiveFamily, escaping: str) -> Iterator[str | None]:
    labels = FamilyLabels(family, escaping)
    yield from render_live_family(family, format_rows(family, escaping), labels, None)
    if family.has_created:
        header = _format_header(family, escaping, "_created", "gauge")
        for line in render_created(family, format_name(family.name, escaping, "_created"), labels):
            yield f"{header}{line}" if header and line else line
            header = "" if line else header


def _render_custom_family(family: Metric, escaping: str, claims: Claims, omissions: Omissions) -> Iterator[str]:
    foreign: dict[str, list[str]] = {family.name + suffix: [] for suffix in FOREIGN_SUFFIXES}
    samples = list_samples(family)
    writer = _SampleWriter(family, escaping, claims, omissions)
    for _ in writer.find_newest(samples):
        yield ""  # a step of work without text
    for raw in samples:
        name, line = writer.write(raw)
        if line and name in foreign:
            foreign[name].append(line)
            yield ""
        else:
            yield line
    for suffix, lines in zip(FOREIGN_SUFFIXES, foreign.values(), strict=True):
        if lines:
            yield _format_header(family, escaping, suffix, "gauge")
        yield from lines


@final
class _SampleWriter:
    """Writes the samples of a custom family."""

    def __init__(self, family: Metric, escaping: str, claims: Claims, omissions: Omissions) -> None:
        kind = KINDS[family.type]
        suffixes = dict.fromkeys((*kind.suffixes, *kind.totals))
        self._own = {family.name + suffix for suffix in suffixes}
        self._names = {family.name + suffix: format_name(family.name, escaping, suffix) for suffix in suffixes}
        self._bound = kind.own_label if kind.own_label in NUMERIC_LABELS else ""
        self._family = family
        self._claims = claims
        self._omissions = omissions
        self._read = SampleReader(escaping, exemplars=False)
        self._seen: set[str] = set()
        self._newest: dict[str, float] = {}

    def find_newest(self, samples: Sequence[Sample]) -> Iterator[None]:
        """Find the newest time of each series, in steps, if one of the samples has a time."""
        is_timed = False
        for start in range(0, len(samples), _STEP):
            is_timed = is_timed or any(map(_has_time, samples[start : start + _STEP]))
            yield
        for number, raw in enumerate(samples if is_timed else ()):
            sample = self._read(raw)
            time = None if sample is None else _format_time(sample.timestamp)
            if sample is not None and time is not None:
                series = self._make_key(sample, ",".join(format_labels(sample.labels)))
                self._newest[series] = max(self._newest.get(series, -1.0), float(time or inf))
            if not number % _STEP:
                yield

    def write(self, raw: Sample) -> tuple[str, str]:
        """Return the name of a sample and its line, or ``""`` for one that is left out."""
        sample = self._read(raw)
        if sample is None:
            return self._omit(UNREADABLE)
        name = self._names.get(sample.name) or self._find_name(sample.name)
        if not name:
            return self._omit("a stray sample has the name of another family")
        if self._bound in sample.labels and parse_bound(sample.labels[self._bound]) is None:
            return self._omit(f"the label {self._bound} is no number")
        time = _format_time(sample.timestamp)
        if time is None:
            return self._omit("the time is before 1970 or too large")
        block = ",".join(format_labels(sample.labels))
        series = self._make_key(sample, block)
        if series in self._seen or series in self._claims.stray_series:
            return self._omit("the series occurs twice")
        if self._newest and float(time or inf) < self._newest[series]:
            return self._omit("the series has a newer sample")
        (self._seen if sample.name in self._own else self._claims.stray_series).add(series)
        return sample.name, format_sample_line(name, block, format_number(sample.value) + time)

    def _omit(self, reason: str) -> tuple[str, str]:
        self._omissions.add(self._family, reason)
        return "", ""

    def _find_name(self, name: str) -> str:
        """Return the written name of a sample, or ``""`` if it belongs to another family."""
        written = self._names[name] = self._claims.name_stray(self._family, name)
        return written

    def _make_key(self, sample: Sample, block: str) -> str:
        """Return a text that two samples have in common if they are of one series."""
        if self._read.names.has_renamed:  # the order of the written names may differ
            block = ",".join(format_labels(dict(sorted(sample.labels.items()))))
        return f"{sample.name} {block}"


def _has_time(raw: Sample) -> bool:
    return getattr(raw, "timestamp", None) is not None


def _format_time(timestamp: float | Timestamp | None) -> str | None:
    """Return a blank and a time in milliseconds, ``""`` for no time, or None for one that cannot be written.

    The time is cut and not rounded, as prometheus_client does. No time in milliseconds between 2020 and 2030 changes
    by that.
    """
    if timestamp is None:
        return ""
    milliseconds = float(timestamp) * 1000
    return f" {int(milliseconds):d}" if -1 < milliseconds < _MAX_TIME else None
