"""From families to the OpenMetrics text format 1.0.0 (https://prometheus.io/docs/specs/om/open_metrics_spec/).

*Rules.*

* Leave out what OpenMetrics forbids: samples with labels or values that their type does not have, counters and sums
  that are NaN or negative, histograms without their last bucket, exemplars where none is allowed, units that the name
  does not end with.
* Report each sample that is left out (``omissions``).
* Put the samples of custom collectors in order (``sample_order``).
* End with ``# EOF``.
* Write nothing that `parse_openmetrics` refuses, except a family that `Metric.restrict` has left incomplete.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from asyncmetrics.formats.numbers import format_number
from asyncmetrics.formats.writing.chunks import join_chunks
from asyncmetrics.formats.writing.claims import Claims
from asyncmetrics.formats.writing.custom_families import get_help, has_unit
from asyncmetrics.formats.writing.lines import (
    LabelNames,
    escape_help,
    format_label_block,
    format_labels,
    format_name,
    format_sample_line,
)
from asyncmetrics.formats.writing.live_families import FamilyLabels, Row, SpecialWriter, format_rows, render_live_family
from asyncmetrics.formats.writing.omissions import OPENMETRICS, OmissionHandler, Omissions
from asyncmetrics.formats.writing.sample_order import order_samples
from asyncmetrics.model.escaping import UNDERSCORES
from asyncmetrics.model.family import LiveFamily, Metric, Point
from asyncmetrics.model.kinds import KINDS, is_never_negative
from asyncmetrics.model.samples import Exemplar, Sample, Timestamp

__all__ = ("encode_openmetrics",)

# Of a histogram the count is left out as well: neither may be exposed alone.
_NEGATIVE = "OpenMetrics forbids a counter or a sum that is negative or NaN, and the count of such a histogram"


def encode_openmetrics(
    families: Iterable[Metric], *, escaping: str = UNDERSCORES, on_omitted: OmissionHandler | None = None
) -> Iterator[bytes]:
    """Yield the exposition of ``families`` in chunks.

    A sample that the format forbids is left out and reported to ``on_omitted`` (see `OmissionHandler`).
    """
    return join_chunks(_render_families(families, escaping, Omissions(OPENMETRICS, on_omitted)))


def _render_families(families: Iterable[Metric], escaping: str, omissions: Omissions) -> Iterator[str | None]:
    claims = Claims(escaping, omissions)
    for family in claims.iterate_families(families):
        if not claims.claim(family, ["", *KINDS[family.type].suffixes]):
            continue
        yield _format_header(family, escaping)
        if isinstance(family, LiveFamily):
            labels = FamilyLabels(family, escaping)
            rows = _list_rows(family, escaping)
            created = format_name(family.name, escaping, "_created")
            special = _make_special_writer(family, rows, created, labels, omissions)
            yield from render_live_family(family, rows, labels, special)
        else:
            yield from _render_custom_family(family, escaping, claims, omissions)
    yield "# EOF\n"


def _format_header(family: Metric, escaping: str) -> str:
    name = format_name(family.name, escaping)
    unit = f"# UNIT {name} {family.unit}\n" if has_unit(family, name.strip('"')) else ""
    return f"# HELP {name} {escape_help(get_help(family), quotes=True)}\n# TYPE {name} {family.type}\n{unit}"


def _list_rows(family: LiveFamily, escaping: str) -> list[Row]:
    """Return the rows of a live family. A histogram with a negative bound has no sum, and so no count either."""
    rows = format_rows(family, escaping, is_canonical=True)
    is_without_sum = KINDS[family.type].own_label == "le" and family.descriptor.buckets[0] < 0
    return [row for row in rows if row[2]] if is_without_sum else rows


def _make_special_writer(
    family: LiveFamily, rows: Sequence[Row], created: str, labels: FamilyLabels, omissions: Omissions
) -> SpecialWriter | None:
    """Return a writer of the children with an exemplar, a forbidden number, or a ``_created`` sample.

    ``created`` is the written name of these. Return None for kinds that have none of all this.
    """
    kind = KINDS[family.type]
    if not any(map(is_never_negative, kind.value_suffixes)):
        return None
    find_forbidden = _find_negative_sum if kind.totals else _find_negative

    def write(point: Point, block: str) -> str | None:
        exemplars = point.read_exemplars()
        numbers = point.read_numbers()
        forbidden = find_forbidden(numbers)
        if not (exemplars or forbidden or family.has_created):
            return None
        place = labels.find_place(point)
        lines = []
        for index, name, own in rows:
            if index in forbidden:
                omissions.add(family, _NEGATIVE)
            else:
                rest = format_number(numbers[index]) + _format_exemplar(exemplars.get(index))
                lines.append(format_sample_line(name, place.insert(block, own) if own else block, rest))
        if family.has_created:
            lines.append(format_sample_line(created, block, format_number(family.get_created(point))))
        return "".join(lines)

    return write


def _find_negative(numbers: Sequence[float]) -> Sequence[int]:
    """Return the indexes of the rows of a counter or summary that are negative or NaN."""
    return [index for index, value in enumerate(numbers) if not value >= 0]


def _find_negative_sum(numbers: Sequence[float]) -> Sequence[int]:
    """Return the indexes of a histogram's count and sum, the last two rows, if the sum is negative or NaN.

    Neither may be exposed without the other (OpenMetrics 1.0, "Histogram"). A histogram with a negative bound has no
    sum: its last number is the count, which is never negative.
    """
    return () if numbers[-1] >= 0 else (len(numbers) - 2, len(numbers) - 1)


def _render_custom_family(family: Metric, escaping: str, claims: Claims, omissions: Omissions) -> Iterator[str]:
    names = {family.name + suffix: format_name(family.name, escaping, suffix) for suffix in KINDS[family.type].suffixes}
    for sample in order_samples(family, escaping, claims, omissions):
        yield "" if sample is None else _format_sample(names[sample.name], sample)


def _format_sample(name: str, sample: Sample) -> str:
    rest = format_number(sample.value) + _format_time(sample.timestamp) + _format_exemplar(sample.exemplar)
    return format_sample_line(name, ",".join(format_labels(sample.labels)), rest)


def _format_time(timestamp: float | Timestamp | None) -> str:
    """Return a blank and a time, or ``""``.

    The reader takes nine decimals for a `Timestamp`: a float with nine decimals gets a tenth.
    """
    if timestamp is None:
        return ""
    if isinstance(timestamp, Timestamp):
        return f" {timestamp}"
    text = repr(timestamp)  # without an exponent as far as repr writes none, as prometheus_client
    return f" {text}0" if len(text.partition(".")[2]) == 9 and "e" not in text else f" {text}"


_TRACE_LABELS, _TRACE_NAMES = frozenset({"trace_id", "span_id"}), LabelNames(UNDERSCORES)


def _format_exemplar(exemplar: Exemplar | None) -> str:
    if exemplar is None:
        return ""
    # The names of a trace's labels are written once, which halves the time of an exemplar. Others are not kept: a
    # program may make any number of them.
    names = _TRACE_NAMES if exemplar.labels.keys() <= _TRACE_LABELS else LabelNames(UNDERSCORES)
    # Prometheus (2.42) gives up the whole scrape at a NUL here, though it takes one in any other label.
    block = format_label_block(exemplar.labels, names).replace("\x00", "\ufffd")
    return f" # {{{block}}} {format_number(exemplar.value)}{_format_time(exemplar.timestamp)}"
