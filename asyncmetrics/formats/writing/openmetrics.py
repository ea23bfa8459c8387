"""The OpenMetrics text format 1.0.0 (https://prometheus.io/docs/specs/om/open_metrics_spec/).

*Rules.* What OpenMetrics forbids is left out, rather than sent: samples with labels or values that their type does not
have, counters and sums that are NaN or negative, histograms without their last bucket, exemplars where none may be,
units that the name does not end with. What a custom collector yields is put in order (`_points`). The last line is
``# EOF``. `parser.parse_openmetrics` takes every exposition; one that was restricted to some names may lack samples.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from asyncmetrics.formats.numbers import format_number
from asyncmetrics.formats.writing.custom_families import Claims, help_of
from asyncmetrics.formats.writing.lawful_samples import lawful_samples
from asyncmetrics.formats.writing.lines import (
    LabelNames,
    chunks,
    escape_help,
    label_block,
    label_parts,
    sample_line,
    written_name,
)
from asyncmetrics.formats.writing.own_families import OddWriter, live_pieces, row_lines
from asyncmetrics.model.family import LiveFamily, Metric, Point
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.names import UNDERSCORES
from asyncmetrics.model.samples import Exemplar, Sample, Timestamp

__all__ = ("encode_openmetrics",)

_is_unit: Callable[[str], object] = re.compile(r'[^\s"\\]+').fullmatch


def encode_openmetrics(families: Iterable[Metric], *, escaping: str = UNDERSCORES) -> Iterator[bytes]:
    """Yield the exposition of ``families`` in chunks; a sample that the format forbids is left out."""
    return chunks(_pieces(families, escaping))


def _pieces(families: Iterable[Metric], escaping: str) -> Iterator[str | None]:
    claims = Claims(escaping)
    for family in claims.families(families):
        if not claims.take([family.name, *(family.name + suffix for suffix in KINDS[family.type].suffixes)]):
            continue
        yield _header(family, escaping)
        if isinstance(family, LiveFamily):
            yield from live_pieces(family, escaping, _odd_writer(family, escaping))
        else:
            yield from _eager_pieces(family, escaping, claims)
    yield "# EOF\n"


def _header(family: Metric, escaping: str) -> str:
    name = written_name(family.name, escaping)
    unit = f"# UNIT {name} {family.unit}\n" if _has_unit(family, name) else ""
    return f"# TYPE {name} {family.type}\n{unit}# HELP {name} {escape_help(help_of(family), quotes=True)}\n"


def _has_unit(family: Metric, written: str) -> bool:
    """Tell whether the name ends with the unit, also as it is written: escaping leaves units alone."""
    if not KINDS[family.type].has_unit or not isinstance(family.unit, str) or not _is_unit(family.unit):
        return False
    return written.strip('"').endswith(f"_{family.unit}")


def _odd_writer(family: LiveFamily, escaping: str) -> OddWriter | None:
    """Return what writes the children that have an exemplar, a forbidden number, or a time of creation to show."""
    forbidden = _FORBIDDEN.get(family.type)
    if forbidden is None:
        return None
    rows = row_lines(family, escaping)
    created = written_name(f"{family.name}_created", escaping)

    def write(point: Point, text: str) -> str | None:
        exemplars = point.read_exemplars()
        numbers = point.read_numbers()
        barred = forbidden(numbers)
        if not (exemplars or barred or family.created):
            return None
        lines = []
        for index, name, own in rows:
            if index not in barred:
                rest = format_number(numbers[index]) + _exemplar(exemplars.get(index))
                lines.append(sample_line(name, ",".join(filter(None, (text, own))), rest))
        if family.created:
            lines.append(sample_line(created, text, format_number(family.created_of(point))))
        return "".join(lines)

    return write


def _below_zero(numbers: Sequence[float]) -> Sequence[int]:
    return [index for index, value in enumerate(numbers) if not value >= 0]


def _sum_and_count(numbers: Sequence[float]) -> Sequence[int]:
    """Return both where the sum, which is the last, may not be: they go together (OpenMetrics 1.0, "Histogram")."""
    return () if numbers[-1] >= 0 else (len(numbers) - 2, len(numbers) - 1)


# The rows that a child may not show, by its numbers.
_FORBIDDEN: dict[str, Callable[[Sequence[float]], Sequence[int]]] = {
    "counter": _below_zero,
    "summary": _below_zero,
    "histogram": _sum_and_count,
}


def _eager_pieces(family: Metric, escaping: str, claims: Claims) -> Iterator[str]:
    names = {
        family.name + suffix: written_name(family.name + suffix, escaping) for suffix in KINDS[family.type].suffixes
    }
    for sample in lawful_samples(family, escaping, claims):
        yield "" if sample is None else _line(names[sample.name], sample)


def _line(name: str, sample: Sample) -> str:
    rest = format_number(sample.value) + _when(sample.timestamp) + _exemplar(sample.exemplar)
    return sample_line(name, ",".join(label_parts(sample.labels)), rest)


def _when(timestamp: float | Timestamp | None) -> str:
    """Write a time: nine decimals are a `Timestamp`'s, so a float that has as many gets a tenth."""
    if timestamp is None:
        return ""
    if isinstance(timestamp, Timestamp):
        return f" {timestamp}"
    text = format_number(timestamp)
    return f" {text}0" if len(text.partition(".")[2]) == 9 and "e" not in text else f" {text}"


def _exemplar(exemplar: Exemplar | None) -> str:
    if exemplar is None:
        return ""
    # Prometheus (2.42) gives up the whole scrape at a NUL here, though it takes one in any other label.
    block = label_block(exemplar.labels, LabelNames(UNDERSCORES)).replace("\x00", "\ufffd")
    return f" # {{{block}}} {format_number(exemplar.value)}{_when(exemplar.timestamp)}"
