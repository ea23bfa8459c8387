"""Renders live families: the metrics of this library, which may have a million children.

*Theory of operation.* The lines of two children differ only in their label blocks and their numbers.

1. `render_live_family` writes everything else once for the family, as a template.
2. It reads the children batch by batch, and fills the template for each. A child brings its label block with it, in
   ``point.label_block``, unless the block depends on the escaping scheme or the child has its own labels.
3. A format can pass a `SpecialWriter`. It writes the children that the template does not fit, such as those with an
   exemplar, and returns None for all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from sys import float_info
from typing import Any, TypeAlias

from asyncmetrics.formats.numbers import format_number
from asyncmetrics.formats.writing.lines import (
    LabelNames,
    format_label_block,
    format_name,
    format_sample_line,
    is_block_reusable,
)
from asyncmetrics.model.family import LiveFamily, Point
from asyncmetrics.model.kinds import KINDS

__all__ = ("BlockWriter", "LineWriter", "SpecialWriter", "format_rows", "render_live_family")

BlockWriter: TypeAlias = Callable[[Point], str]
"""Returns the label block of a child."""

LineWriter: TypeAlias = Callable[[Point, str], str]
"""Returns all lines of a child with this label block."""

SpecialWriter: TypeAlias = Callable[[Point, str], str | None]
"""Returns all lines of a child with this label block, or None if the template fits the child."""


def render_live_family(family: LiveFamily, escaping: str, special: SpecialWriter | None) -> Iterator[str | None]:
    """Yield the sample lines of a live family in pieces. None stands for an empty batch, which took time as well."""
    write_block = _make_block_writer(family, escaping)
    name = format_name(family.rows[0].name, escaping) if 0 in family.rows else '"'
    names = family.descriptor.all_labelnames
    has_one_line = KINDS[family.type].has_value and not family.has_created
    if has_one_line and names and is_block_reusable(names, escaping) and not name.startswith('"'):
        yield from _render_values(family, name, write_block, special)
        return
    fill = _make_template(family, escaping)
    for batch in family.read_batches():
        if not batch:
            yield None
        for point in batch:  # a child may have many lines: those of a whole batch would be too large a piece
            yield _write_lines(special, fill, point, write_block(point))


def format_rows(family: LiveFamily, escaping: str) -> list[tuple[int, str, str]]:
    """Return for each row its index, its written name, and its own label (``le`` or a state) or ``""``."""
    names = LabelNames(escaping)
    return [
        (index, format_name(row.name, escaping), format_label_block(dict([row.label]), names) if row.label else "")
        for index, row in family.rows.items()
    ]


def _make_block_writer(family: LiveFamily, escaping: str) -> BlockWriter:
    names = family.descriptor.all_labelnames
    written = LabelNames(escaping)

    def write(point: Point) -> str:
        labels = dict(zip(names, point.labelvalues, strict=True))
        return format_label_block({**labels, **point.read_extra_labels()}, written)

    def reuse(point: Point) -> str:
        return write(point) if point.label_block is None else point.label_block

    # The facts of an info are labels that are not in its label block.
    return reuse if is_block_reusable(names, escaping) and family.type != "info" else write


def _write_lines(special: SpecialWriter | None, fill: LineWriter, point: Point, block: str) -> str:
    lines = None if special is None else special(point, block)
    return fill(point, block) if lines is None else lines


def _render_values(
    family: LiveFamily, name: str, write_block: BlockWriter, special: SpecialWriter | None
) -> Iterator[str | None]:
    """Yield the lines of counters or gauges, one line for each child: benchmarks/render.py.

    These points have ``value`` beside ``read_numbers()``, and counters ``exemplar`` beside ``read_exemplars()``. The
    loop calls no function for a child whose value is finite and, if there is a ``special`` writer, not negative.
    """
    head = f"{name}{{"
    low = -float_info.max if special is None else 0.0  # OpenMetrics forbids negative counters
    high = float_info.max

    def fill(point: Point, block: str) -> str:
        return f"{head}{block}}} {format_number(point.read_numbers()[0])}\n"

    for batch in family.read_batches():
        points: Sequence[Any] = batch
        if not points:
            yield None
        elif special is not None and any(point.exemplar for point in points):
            yield "".join([_write_lines(special, fill, point, write_block(point)) for point in points])
        else:
            yield "".join(
                [
                    f"{head}{p.label_block or write_block(p)}}} {v!r}\n"
                    if low <= (v := p.value) <= high
                    else _write_lines(special, fill, p, write_block(p))
                    for p in points
                ]
            )


def _make_template(family: LiveFamily, escaping: str) -> LineWriter:
    rows = format_rows(family, escaping)

    def format_row(name: str, own: str, block: str) -> str:
        name, own = name.replace("%", "%%"), own.replace("%", "%%")
        return format_sample_line(name, ",".join(filter(None, (block, own))), "%s")

    bare = "".join(format_row(name, own, "") for _, name, own in rows)
    labelled = "".join(format_row(name, own, "%s") for _, name, own in rows)
    indexes = [index for index, _, _ in rows]

    def fill(point: Point, block: str) -> str:
        numbers = point.read_numbers()
        values: Sequence[object] = [numbers[index] for index in indexes]
        total = sum(numbers)
        if total - total != 0.0:  # %s writes a float by repr, which is right for finite numbers only
            values = [format_number(numbers[index]) for index in indexes]
        if not block:
            return bare % tuple(values)
        fields: list[object] = [block] * (2 * len(values))
        fields[1::2] = values
        return labelled % tuple(fields)

    return fill
