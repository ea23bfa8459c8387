"""From families to the Prometheus text formats 0.0.4 and 1.0.0.

https://prometheus.io/docs/instrumenting/exposition_formats/. The two differ only in the escaping schemes that a client
may ask for. Neither has UNIT, exemplars, ``_created`` or an end mark. A kind that they do not know is written as the
nearest one (`MetricKind.text_type`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from asyncmetrics.formats.numbers import format_number, parse_bound
from asyncmetrics.formats.writing.chunks import join_chunks
from asyncmetrics.formats.writing.claims import Claims
from asyncmetrics.formats.writing.custom_families import SampleReader, get_help, list_samples
from asyncmetrics.formats.writing.lines import escape_help, format_labels, format_name, format_sample_line
from asyncmetrics.formats.writing.live_families import render_live_family
from asyncmetrics.model.escaping import UNDERSCORES
from asyncmetrics.model.family import LiveFamily, Metric
from asyncmetrics.model.kinds import KINDS, NUMERIC_LABELS
from asyncmetrics.model.samples import Sample, Timestamp

__all__ = ("encode_text",)

# Timestamps in milliseconds. promtool refuses more than 63 bits, and Prometheus (2.42) a sign, which it reads in
# OpenMetrics.
_MAX_TIME = 10**18


def encode_text(families: Iterable[Metric], *, escaping: str = UNDERSCORES) -> Iterator[bytes]:
    """Yield the exposition of ``families`` in chunks. A sample that cannot be written is left out."""
    return join_chunks(_render_families(families, escaping))


def _render_families(families: Iterable[Metric], escaping: str) -> Iterator[str | None]:
    claims = Claims(escaping)
    for family in claims.iterate_families(families):
        kind = KINDS[family.type]
        name = family.name + kind.text_suffix
        # A reader takes these names for the family's own too, by the type that is written.
        read_as_own = KINDS[kind.text_type].totals if kind.text_type in KINDS else ()
        if not claims.claim([name, *_list_names(family), *(family.name + suffix for suffix in read_as_own)]):
            continue
        yield _format_header(format_name(name, escaping), kind.text_type, get_help(family))
        if isinstance(family, LiveFamily):
            yield from render_live_family(family, escaping, None)
        else:
            yield from _render_custom_family(family, escaping, claims)


def _list_names(family: Metric) -> list[str]:
    return [family.name + suffix for suffix in KINDS[family.type].value_suffixes]


def _format_header(written: str, kind: str, documentation: str) -> str:
    return f"# HELP {written} {escape_help(documentation, quotes=False)}\n# TYPE {written} {kind}\n"


def _render_custom_family(family: Metric, escaping: str, claims: Claims) -> Iterator[str]:
    kind = KINDS[family.type]
    # A gauge histogram is written as a histogram. That type has no _gcount and _gsum: each becomes its own family.
    foreign = kind.totals if kind.text_type != kind.name else ()
    foreign_lines: dict[str, list[str]] = {family.name + suffix: [] for suffix in foreign}
    names = {name: format_name(name, escaping) for name in _list_names(family)}
    read = SampleReader(escaping, exemplars=False)
    bound = kind.own_label if kind.own_label in NUMERIC_LABELS else ""
    seen: set[str] = set()
    for raw in list_samples(family):
        sample = read(raw)
        if sample is None or _is_created(family, sample):
            yield ""  # a step of work without text
        elif sample.name not in names:
            claims.add_stray(raw)
        elif not bound or bound not in sample.labels or parse_bound(sample.labels[bound]) is not None:
            line = _format_sample(names[sample.name], sample, seen)
            if line and sample.name in foreign_lines:
                foreign_lines[sample.name].append(line)
                yield ""
            else:
                yield line
    for name, lines in foreign_lines.items():
        if lines:
            yield _format_header(names[name], "gauge", get_help(family))
        yield from lines


def _is_created(family: Metric, sample: Sample) -> bool:
    return sample.name == f"{family.name}_created" and KINDS[family.type].has_created


def _format_sample(name: str, sample: Sample, seen: set[str]) -> str:
    """Return the line of a sample, or ``""`` for a series that was there before or a time that cannot be written."""
    time = _format_time(sample.timestamp)
    labels = format_labels(sample.labels)
    series = f"{name} {time} {','.join(sorted(labels))}"
    if series in seen or time is None:
        return ""
    seen.add(series)
    return format_sample_line(name, ",".join(labels), format_number(sample.value) + time)


def _format_time(timestamp: float | Timestamp | None) -> str | None:
    """Return a blank and a time, ``""`` for no time, or None for one that cannot be written."""
    if timestamp is None:
        return ""
    milliseconds = float(timestamp) * 1000
    return f" {round(milliseconds):d}" if 0 <= milliseconds < _MAX_TIME else None
