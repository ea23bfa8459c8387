"""The text formats of Prometheus: 0.0.4, and 1.0.0, which differs only in the escaping that may be asked for.

https://prometheus.io/docs/instrumenting/exposition_formats/. Neither has UNIT, exemplars, ``_created`` or an end mark;
what they have no type for is written as the nearest one they have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from asyncmetrics.formats.numbers import format_number, parse_bound
from asyncmetrics.formats.writing.custom_families import Claims, SampleReader, help_of, raw_samples
from asyncmetrics.formats.writing.lines import chunks, escape_help, label_parts, sample_line, written_name
from asyncmetrics.formats.writing.own_families import live_pieces
from asyncmetrics.model.family import LiveFamily, Metric
from asyncmetrics.model.kinds import KINDS, NUMERIC_LABELS
from asyncmetrics.model.names import UNDERSCORES
from asyncmetrics.model.samples import Sample, Timestamp

__all__ = ("encode_text",)

# In milliseconds: promtool gives up beyond 63 bits, and Prometheus (2.42) at a sign, which OpenMetrics lets it read.
_LATEST = 10**18


def encode_text(families: Iterable[Metric], *, escaping: str = UNDERSCORES) -> Iterator[bytes]:
    """Yield the exposition of ``families`` in chunks; a sample that cannot be written is left out."""
    return chunks(_pieces(families, escaping))


def _pieces(families: Iterable[Metric], escaping: str) -> Iterator[str | None]:
    claims = Claims(escaping)
    for family in claims.families(families):
        kind = KINDS[family.type]
        name = family.name + kind.text_suffix
        # A reader of the written type counts these names among the family's own as well.
        read_as_own = KINDS[kind.text_type].totals if kind.text_type in KINDS else ()
        if not claims.take([name, *_own_names(family), *(family.name + suffix for suffix in read_as_own)]):
            continue
        yield _header(written_name(name, escaping), kind.text_type, help_of(family))
        if isinstance(family, LiveFamily):
            yield from live_pieces(family, escaping, None)
        else:
            yield from _eager_pieces(family, escaping, claims)


def _own_names(family: Metric) -> list[str]:
    return [family.name + suffix for suffix in KINDS[family.type].value_suffixes]


def _header(written: str, kind: str, documentation: str) -> str:
    return f"# HELP {written} {escape_help(documentation, quotes=False)}\n# TYPE {written} {kind}\n"


def _eager_pieces(family: Metric, escaping: str, claims: Claims) -> Iterator[str]:
    kind = KINDS[family.type]
    # A gauge histogram is written as a histogram, whose type has no _gcount and _gsum: they become families of their own.
    foreign = kind.totals if kind.text_type != kind.name else ()
    apart: dict[str, list[str]] = {family.name + suffix: [] for suffix in foreign}
    names = {name: written_name(name, escaping) for name in _own_names(family)}
    read = SampleReader(escaping, exemplars=False)
    bound = kind.own_label if kind.own_label in NUMERIC_LABELS else ""
    seen: set[str] = set()
    for raw in raw_samples(family):
        sample = read(raw)
        if sample is None or _is_created(family, sample):
            yield ""  # work as well
        elif sample.name not in names:
            claims.stray(raw)
        elif not bound or bound not in sample.labels or parse_bound(sample.labels[bound]) is not None:
            line = _line(names[sample.name], sample, seen)
            if line and sample.name in apart:
                apart[sample.name].append(line)
                yield ""
            else:
                yield line
    for name, lines in apart.items():
        if lines:
            yield _header(names[name], "gauge", help_of(family))
        yield from lines


def _is_created(family: Metric, sample: Sample) -> bool:
    return sample.name == f"{family.name}_created" and KINDS[family.type].has_created


def _line(name: str, sample: Sample, seen: set[str]) -> str:
    """Write one sample, or nothing if the same series was there before or the time is out of reach."""
    when = _when(sample.timestamp)
    parts = label_parts(sample.labels)
    series = f"{name} {when} {','.join(sorted(parts))}"
    if series in seen or when is None:
        return ""
    seen.add(series)
    return sample_line(name, ",".join(parts), format_number(sample.value) + when)


def _when(timestamp: float | Timestamp | None) -> str | None:
    if timestamp is None:
        return ""
    milliseconds = float(timestamp) * 1000
    return f" {round(milliseconds):d}" if 0 <= milliseconds < _LATEST else None
