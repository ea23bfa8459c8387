"""The OpenMetrics text format 1.0.0 (https://prometheus.io/docs/specs/om/open_metrics_spec/).

*Rules.* What OpenMetrics forbids is left out, line by line, rather than sent: samples with a suffix that their type
does not have, counters and sums that are NaN or negative, exemplars where none may be, units that the name does not
end with. The last line is ``# EOF``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from asyncmetrics.formats._lines import (
    chunks,
    escape_help,
    label_block,
    number,
    plain_sample,
    sample_line,
    written_name,
)
from asyncmetrics.formats._live import live_pieces, row_lines
from asyncmetrics.formats._rules import TOTALS, UNITLESS, exemplar_problem, value_problem
from asyncmetrics.formats._samples import read_number
from asyncmetrics.model.family import LiveFamily, Metric, Point
from asyncmetrics.model.names import UNDERSCORES
from asyncmetrics.model.samples import Exemplar, Sample, Timestamp

__all__ = ("encode",)


def encode(families: Iterable[Metric], *, escaping: str = UNDERSCORES) -> Iterator[bytes]:
    """Yield the exposition of ``families`` in chunks; a sample that the format forbids is left out."""
    return chunks(_pieces(families, escaping))


def _pieces(families: Iterable[Metric], escaping: str) -> Iterator[str]:
    for family in families:
        yield _header(family, escaping)
        if isinstance(family, LiveFamily):
            yield from live_pieces(family, escaping, _odd_writer(family, escaping))
        else:
            yield from (_line(sample, escaping) for sample in _allowed(family))
    yield "# EOF\n"


def _header(family: Metric, escaping: str) -> str:
    name = written_name(family.name, escaping)
    unit = f"# UNIT {name} {family.unit}\n" if _has_unit(family, name) else ""
    documentation = escape_help(str(family.documentation), quotes=True)
    return f"# TYPE {name} {family.type}\n{unit}# HELP {name} {documentation}\n"


def _has_unit(family: Metric, written: str) -> bool:
    """Tell whether the name ends with the unit, also as it is written: escaping leaves units alone."""
    return bool(family.unit) and family.type not in UNITLESS and written.strip('"').endswith(f"_{family.unit}")


def _odd_writer(family: LiveFamily, escaping: str) -> Callable[[Point, str], str | None] | None:
    """Return what writes the children that have an exemplar, a forbidden sum, or a time of creation to show."""
    if family.type not in {"counter", "summary", "histogram"}:
        return None
    rows = row_lines(family, escaping)
    sum_index = len(family.descriptor.rows()) - 1 if family.type != "counter" else None
    # A histogram's count goes with its sum (OpenMetrics 1.0, "Histogram").
    totals = {sum_index} if family.type == "summary" else {sum_index, sum_index - 1} if sum_index is not None else set()
    created = written_name(f"{family.name}_created", escaping)

    def write(point: Point, text: str) -> str | None:
        exemplars = point.exemplars()
        numbers = point.numbers()
        forbidden = sum_index is not None and not numbers[sum_index] >= 0
        if not (exemplars or forbidden or family.created):
            return None
        lines = []
        for index, name, own in rows:
            if not (forbidden and index in totals):
                rest = number(numbers[index]) + _exemplar(exemplars.get(index))
                lines.append(sample_line(name, ",".join(filter(None, (text, own))), rest))
        if family.created:
            lines.append(sample_line(created, text, number(family.created_of(point))))
        return "".join(lines)

    return write


def _allowed(family: Metric) -> Iterator[Sample]:
    """Yield what OpenMetrics lets stand of the samples of a custom collector."""
    samples: Iterable[Sample] = (sample for sample in map(plain_sample, family.samples) if sample is not None)
    if family.type in TOTALS:
        samples = _with_lawful_totals(family, list(samples))
    checked = (_checked(family, sample) for sample in samples)
    return (sample for sample in checked if sample is not None)


def _checked(family: Metric, sample: Sample) -> Sample | None:
    """Return the sample, without an exemplar that is not allowed, or None if the sample itself is not."""
    if not sample.name.startswith(family.name):
        return None
    suffix = sample.name[len(family.name) :]
    if value_problem(family.name, family.type, suffix, sample.labels, sample.value):
        return None
    if sample.exemplar is not None and exemplar_problem(family.type, suffix, sample.exemplar):
        return sample._replace(exemplar=None)
    return sample


def _with_lawful_totals(family: Metric, samples: list[Sample]) -> Iterator[Sample]:
    """Leave out both count and sum of a histogram's child where its sum may not be: they go together."""
    count_name, sum_name = (family.name + suffix for suffix in TOTALS[family.type])
    signed = {_child(sample) for sample in samples if (read_number(sample.labels.get("le", "")) or 0) < 0}
    unlawful = {
        _child(sample)
        for sample in samples
        if sample.name == sum_name and not (sample.value >= 0 or (_child(sample) in signed and sample.value < 0))
    }
    if family.type == "histogram":
        unlawful |= signed
    else:  # a collector may know the ages' count without their sum
        bucketed = {_child(sample) for sample in samples if "le" in sample.labels}
        unlawful |= bucketed - {_child(sample) for sample in samples if sample.name == sum_name}
    return (sample for sample in samples if sample.name not in {count_name, sum_name} or _child(sample) not in unlawful)


def _child(sample: Sample) -> frozenset[tuple[str, str]]:
    return frozenset(item for item in sample.labels.items() if item[0] != "le")


def _line(sample: Sample, escaping: str) -> str:
    rest = number(sample.value) + _when(sample.timestamp) + _exemplar(sample.exemplar)
    return sample_line(written_name(sample.name, escaping), label_block(sample.labels.items(), escaping), rest)


def _when(timestamp: float | Timestamp | None) -> str:
    """Write a time: nine decimals are a `Timestamp`'s, so a float that has as many gets a tenth."""
    if timestamp is None:
        return ""
    if isinstance(timestamp, Timestamp):
        return f" {timestamp}"
    text = number(timestamp)
    return f" {text}0" if len(text.partition(".")[2]) == 9 and "e" not in text else f" {text}"


def _exemplar(exemplar: Exemplar | None) -> str:
    if exemplar is None:
        return ""
    block = label_block(exemplar.labels.items(), UNDERSCORES)
    return f" # {{{block}}} {number(exemplar.value)}{_when(exemplar.timestamp)}"
