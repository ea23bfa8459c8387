"""The OpenMetrics text format 1.0.0 (https://prometheus.io/docs/specs/om/open_metrics_spec/).

*Rules.* What OpenMetrics forbids is left out, line by line, rather than sent: samples with a suffix that their type
does not have, counters and sums that are NaN or negative, exemplars where none may be, units that the name does not
end with. The last line is ``# EOF``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from asyncmetrics.formats._lines import chunks, escape_help, label_block, number, sample_line, written_name
from asyncmetrics.formats._live import live_pieces, row_lines
from asyncmetrics.model.family import LiveFamily, Metric, Point
from asyncmetrics.model.names import UNDERSCORES
from asyncmetrics.model.samples import Exemplar, Sample, Timestamp

__all__ = ("encode",)

_SUFFIXES = {
    "counter": ("_total", "_created"),
    "gauge": ("",),
    "summary": ("", "_count", "_sum", "_created"),
    "histogram": ("_bucket", "_count", "_sum", "_created"),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
    "info": ("_info",),
    "stateset": ("",),
    "unknown": ("",),
}
_NEVER_NEGATIVE = ("_total", "_bucket", "_count", "_sum", "_gcount")
_WITH_EXEMPLARS = ("_total", "_bucket")
_EXEMPLAR_LIMIT = 128
_UNITLESS = frozenset({"info", "stateset"})


def encode(families: Iterable[Metric], *, escaping: str = UNDERSCORES) -> Iterator[bytes]:
    """Yield the exposition of ``families`` in chunks; a sample that the format forbids is left out."""
    return chunks(_pieces(families, escaping))


def _pieces(families: Iterable[Metric], escaping: str) -> Iterator[str]:
    for family in families:
        yield _header(family, escaping)
        if isinstance(family, LiveFamily):
            yield from live_pieces(family, escaping, _odd_writer(family, escaping))
        else:
            yield "".join([_line(family, sample, escaping) for sample in family.samples])
    yield "# EOF\n"


def _header(family: Metric, escaping: str) -> str:
    name = written_name(family.name, escaping)
    unit = f"# UNIT {name} {family.unit}\n" if _has_unit(family) else ""
    documentation = escape_help(str(family.documentation), quotes=True)
    return f"# TYPE {name} {family.type}\n{unit}# HELP {name} {documentation}\n"


def _has_unit(family: Metric) -> bool:
    return bool(family.unit) and family.name.endswith(f"_{family.unit}") and family.type not in _UNITLESS


def _odd_writer(family: LiveFamily, escaping: str) -> Callable[[Point, str], str | None] | None:
    """Return what writes the children that have an exemplar, a forbidden sum, or a time of creation to show."""
    if family.type not in {"counter", "summary", "histogram"}:
        return None
    rows = row_lines(family, escaping)
    sum_index = len(family.descriptor.rows()) - 1 if family.type != "counter" else None
    created = written_name(f"{family.name}_created", escaping)

    def write(point: Point, text: str) -> str | None:
        exemplars = point.exemplars()
        numbers = point.numbers()
        forbidden = sum_index is not None and not numbers[sum_index] >= 0
        if not (exemplars or forbidden or family.created):
            return None
        lines = []
        for index, name, own in rows:
            if not (forbidden and index == sum_index):
                rest = number(numbers[index]) + _exemplar(exemplars.get(index))
                lines.append(sample_line(name, ",".join(filter(None, (text, own))), rest))
        if family.created:
            lines.append(sample_line(created, text, number(family.created_of(point))))
        return "".join(lines)

    return write


def _line(family: Metric, sample: Sample, escaping: str) -> str:
    suffix = sample.name.removeprefix(family.name)
    if sample.name not in {family.name + allowed for allowed in _SUFFIXES[family.type]}:
        return ""
    try:
        value = float(sample.value)
        if suffix in _NEVER_NEGATIVE and not value >= 0:
            return ""
        rest = number(value) + _when(sample.timestamp)
        if suffix in _WITH_EXEMPLARS:
            rest += _exemplar(sample.exemplar)
        block = label_block(sample.labels.items(), escaping)
    except (TypeError, ValueError, OverflowError, AttributeError):
        return ""  # one bad sample of a collector must not cost the scrape
    return sample_line(written_name(sample.name, escaping), block, rest)


def _when(timestamp: float | Timestamp | None) -> str:
    if timestamp is None:
        return ""
    return f" {timestamp}" if isinstance(timestamp, Timestamp) else f" {number(float(timestamp))}"


def _exemplar(exemplar: Exemplar | None) -> str:
    if exemplar is None or sum(len(name) + len(text) for name, text in exemplar.labels.items()) > _EXEMPLAR_LIMIT:
        return ""
    block = label_block(exemplar.labels.items(), UNDERSCORES)
    return f" # {{{block}}} {number(float(exemplar.value))}{_when(exemplar.timestamp)}"
