"""The lines of live families: those of the library's own metrics, a million children of which may be on their way.

*Theory of operation.* The children of a metric differ in their label block and their numbers alone, so the rest is
written once, as a template. A child brings its label block with it, in ``point.label_block``, as long as its label names are
written the same way under every escaping scheme.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from sys import float_info
from typing import Any, TypeAlias

from asyncmetrics.formats.numbers import format_number
from asyncmetrics.formats.writing.lines import LabelNames, keeps_label_names, label_block, sample_line, written_name
from asyncmetrics.model.family import LiveFamily, Point

__all__ = ("BlockWriter", "OddWriter", "live_pieces", "row_lines")

BlockWriter: TypeAlias = Callable[[Point], str]
Fill: TypeAlias = Callable[[Point, str], str]
OddWriter: TypeAlias = Callable[[Point, str], str | None]


def _block_writer(family: LiveFamily, escaping: str) -> BlockWriter:
    names = family.descriptor.all_labelnames
    written = LabelNames(escaping)

    def write(point: Point) -> str:
        return label_block({**dict(zip(names, point.labelvalues, strict=True)), **point.read_extra_labels()}, written)

    def kept(point: Point) -> str:
        return write(point) if point.label_block is None else point.label_block

    keeps = keeps_label_names(names, escaping) and family.type != "info"
    return kept if keeps else write


def live_pieces(family: LiveFamily, escaping: str, odd: OddWriter | None) -> Iterator[str | None]:
    """Yield the sample lines of a live family, a piece for each slice of its children; None for a slice of none.

    ``odd`` may write the lines of a child that the template does not fit; it returns None for the others.
    """
    write = _block_writer(family, escaping)
    name = written_name(family.rows[0].name, escaping) if 0 in family.rows else '"'
    names = family.descriptor.all_labelnames
    one_line = family.type == "gauge" or (family.type == "counter" and not family.created)
    if one_line and names and keeps_label_names(names, escaping) and not name.startswith('"'):
        yield from _value_pieces(family, name, write, odd)
        return
    fill = _template(family, escaping)
    for batch in family.batches():
        if not batch:
            yield None
        for point in batch:  # many lines each: a slice of them would be too large a piece
            yield _either(odd, fill, point, write(point))


def _either(odd: OddWriter | None, fill: Fill, point: Point, text: str) -> str:
    special = None if odd is None else odd(point, text)
    return fill(point, text) if special is None else special


def _value_pieces(family: LiveFamily, name: str, write: BlockWriter, odd: OddWriter | None) -> Iterator[str | None]:
    """Yield the lines of children with one line each, a counter's or a gauge's: benchmarks/render.py.

    Such children have ``value`` beside ``read_numbers()``, and counters ``exemplar`` beside ``exemplars()``.
    """
    head = f"{name}{{"
    low = -float_info.max if odd is None else 0.0  # with ``odd``, numbers below have to be asked about as well
    high = float_info.max

    def fill(point: Point, text: str) -> str:
        return f"{head}{text}}} {format_number(point.read_numbers()[0])}\n"

    for batch in family.batches():
        points: Sequence[Any] = batch
        if not points:
            yield None
        elif odd is not None and any(point.exemplar for point in points):
            yield "".join([_either(odd, fill, point, write(point)) for point in points])
        else:
            yield "".join(
                [
                    f"{head}{p.label_block or write(p)}}} {v!r}\n"
                    if low <= (v := p.value) <= high
                    else _either(odd, fill, p, write(p))
                    for p in points
                ]
            )


def row_lines(family: LiveFamily, escaping: str) -> list[tuple[int, str, str]]:
    """Return for each row its index, its written name, and its own label (``le`` or a state), or ``""``."""
    names = LabelNames(escaping)
    return [
        (index, written_name(row.name, escaping), label_block(dict([row.label]), names) if row.label else "")
        for index, row in family.rows.items()
    ]


def _template(family: LiveFamily, escaping: str) -> Fill:
    rows = row_lines(family, escaping)

    def line(name: str, own: str, block: str) -> str:
        parts = [part.replace("%", "%%") for part in (name, own)]
        return sample_line(parts[0], ",".join(filter(None, (block, parts[1]))), "%s")

    bare = "".join(line(name, own, "") for _, name, own in rows)
    labelled = "".join(line(name, own, "%s") for _, name, own in rows)
    indexes = [index for index, _, _ in rows]

    def fill(point: Point, text: str) -> str:
        numbers = point.read_numbers()
        values: Sequence[object] = [numbers[index] for index in indexes]
        total = sum(numbers)
        if total - total != 0.0:  # repr, which %s means for a float, is right for finite numbers only
            values = [format_number(numbers[index]) for index in indexes]
        if not text:
            return bare % tuple(values)
        parts: list[object] = [text] * (2 * len(values))
        parts[1::2] = values
        return labelled % tuple(parts)

    return fill
