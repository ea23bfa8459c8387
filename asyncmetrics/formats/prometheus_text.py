"""The text formats of Prometheus: 0.0.4, and 1.0.0, which differs only in the escaping that may be asked for.

https://prometheus.io/docs/instrumenting/exposition_formats/. Neither has UNIT, exemplars, ``_created`` or an end mark;
what they have no type for is written as the nearest one they have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from asyncmetrics.formats._lines import (
    chunks,
    escape_help,
    label_block,
    number,
    plain_sample,
    sample_line,
    written_name,
)
from asyncmetrics.formats._live import live_pieces
from asyncmetrics.model.family import LiveFamily, Metric
from asyncmetrics.model.names import UNDERSCORES
from asyncmetrics.model.samples import Sample

__all__ = ("encode",)

# The type that is written, and what the family's name gets behind it, where they are not those of the model.
_TYPES = {
    "counter": ("counter", "_total"),
    "info": ("gauge", "_info"),
    "stateset": ("gauge", ""),
    "gaugehistogram": ("histogram", ""),
    "unknown": ("untyped", ""),
}
# Samples that no type of these formats holds become families of their own.
_GAUGES_APART = {"gaugehistogram": ("_gcount", "_gsum")}
_WITH_CREATED = frozenset({"counter", "summary", "histogram"})


def encode(families: Iterable[Metric], *, escaping: str = UNDERSCORES) -> Iterator[bytes]:
    """Yield the exposition of ``families`` in chunks; a sample that cannot be written is left out."""
    return chunks(_pieces(families, escaping))


def _pieces(families: Iterable[Metric], escaping: str) -> Iterator[str]:
    for family in families:
        kind, suffix = _TYPES.get(family.type, (family.type, ""))
        yield _header(family, family.name + suffix, kind, escaping)
        if isinstance(family, LiveFamily):
            yield from live_pieces(family, escaping, None)
        else:
            yield from _eager_pieces(family, escaping)


def _header(family: Metric, name: str, kind: str, escaping: str) -> str:
    written = written_name(name, escaping)
    documentation = escape_help(str(family.documentation), quotes=False)
    return f"# HELP {written} {documentation}\n# TYPE {written} {kind}\n"


def _eager_pieces(family: Metric, escaping: str) -> Iterator[str]:
    apart = {family.name + suffix: "" for suffix in _GAUGES_APART.get(family.type, ())}
    created = f"{family.name}_created"
    for sample in map(plain_sample, family.samples):
        if sample is None or (sample.name == created and family.type in _WITH_CREATED):
            continue
        line = _line(sample, escaping)
        if sample.name in apart:
            apart[sample.name] += line
        else:
            yield line
    for name, lines in apart.items():
        if lines:
            yield _header(family, name, "gauge", escaping) + lines


def _line(sample: Sample, escaping: str) -> str:
    when = "" if sample.timestamp is None else f" {round(float(sample.timestamp) * 1000):d}"
    block = label_block(sample.labels.items(), escaping)
    return sample_line(written_name(sample.name, escaping), block, number(sample.value) + when)
