"""Renders live families: the metrics of this library, which may have a million children.

*Theory of operation.* The lines of two children differ only in their label blocks and their numbers.

1. `render_live_family` writes everything else once for the family.
2. It reads the children batch by batch, and joins the two for each. A child brings its label block with it, in
   ``point.label_block``, unless the block depends on the escaping scheme or the child has its own labels.
3. Rows with their own label (``le`` or a state) need that label in the middle of the block, where its name is sorted.
   A `LabelPlace` cuts the block there.
4. A format can pass a `SpecialWriter`. It writes the children that need something else, such as those with an exemplar,
   and returns None for all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from sys import float_info
from typing import Any, TypeAlias, final

from asyncmetrics.formats.numbers import FIRST_EXPONENT, format_canonical, format_number
from asyncmetrics.formats.writing.lines import LabelNames, format_label_block, format_name, format_sample_line
from asyncmetrics.model.escaping import is_legacy_label_name
from asyncmetrics.model.family import LiveFamily, Point
from asyncmetrics.model.kinds import KINDS, NUMERIC_LABELS
from asyncmetrics.model.label_blocks import LabelPlace, make_written_block_writer

__all__ = ("FamilyLabels", "LineWriter", "Row", "SpecialWriter", "format_rows", "render_created", "render_live_family")

Row: TypeAlias = tuple[int, str, str]
"""The index of a row, its written name, and its own label (``le`` or a state) or ``""``."""

LineWriter: TypeAlias = Callable[[Point, str], str]
"""Returns all lines of a child with this label block."""

SpecialWriter: TypeAlias = Callable[[Point, str], str | None]
"""Returns all lines of a child with this label block, or None for a child that needs nothing special."""


@final
class FamilyLabels:
    """The labels of a live family's children, in their written form and sorted by name."""

    def __init__(self, family: LiveFamily, escaping: str) -> None:
        self._names = family.descriptor.all_labelnames
        self._written = LabelNames(escaping)
        self._omits = family.descriptor.omit_empty
        # The facts of an info are labels that are not in its label block.
        self.is_reusable = all(map(is_legacy_label_name, self._names)) and family.type != "info"
        self._own = next((row.label[0] for row in family.rows.values() if row.label), "")
        self._writers: dict[tuple[str, ...], Callable[[tuple[str, ...]], str]] = {}
        self._place = self._make_place(self._names)
        self._places: dict[tuple[str, ...], LabelPlace] = {}

    def write_block(self, point: Point) -> str:
        """Return the label block of a child."""
        if self.is_reusable and point.label_block is not None:
            return point.label_block
        extra = point.read_extra_labels()
        key = tuple(extra)
        write = self._writers.get(key)
        if write is None:
            names = (*self._names, *key)
            written = [self._written[name] for name in names]
            write = self._writers[key] = make_written_block_writer(names, written, omit_empty=self._omits)
        return write((*point.labelvalues, *extra.values()))

    def find_place(self, point: Point) -> LabelPlace:
        """Return where a row's own label stands in the block of a child."""
        extra = point.read_extra_labels()
        if not extra:
            return self._place
        key = tuple(extra)
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = self._make_place((*self._names, *key))
        return place

    def _make_place(self, names: Sequence[str]) -> LabelPlace:
        return LabelPlace(self._own, names, self._written.__getitem__, omit_empty=self._omits)


def render_live_family(
    family: LiveFamily, rows: Sequence[Row], labels: FamilyLabels, special: SpecialWriter | None
) -> Iterator[str | None]:
    """Yield the sample lines of a live family in pieces. None stands for an empty batch, which took time as well.

    ``_created`` samples are left to the ``special`` writer.
    """
    name = rows[0][1] if rows else '"'
    has_one_line = KINDS[family.type].has_value and not (special is not None and family.has_created)
    has_blocks = family.descriptor.all_labelnames and not family.descriptor.omit_empty
    if has_one_line and has_blocks and labels.is_reusable and not name.startswith('"'):
        yield from _render_values(family, name, labels, special)
        return
    fill = _make_filler(family, rows, labels)
    for batch in family.read_batches():
        if not batch:
            yield None
        for point in batch:  # a child may have many lines: those of a whole batch would be too large a piece
            yield _write_lines(special, fill, point, labels.write_block(point))


def render_created(family: LiveFamily, name: str, labels: FamilyLabels) -> Iterator[str | None]:
    """Yield the ``_created`` lines of a live family, under their written ``name``."""
    for batch in family.read_batches():
        yield None
        for point in batch:
            yield format_sample_line(name, labels.write_block(point), format_number(family.get_created(point)))


def format_rows(family: LiveFamily, escaping: str, *, is_canonical: bool = False) -> list[Row]:
    """Return the rows of a live family; ``is_canonical`` is whether bounds are canonical numbers."""
    names = LabelNames(escaping)
    is_bound = is_canonical and KINDS[family.type].own_label in NUMERIC_LABELS

    def format_own(name: str, text: str) -> str:
        return format_label_block({name: format_canonical(text) if is_bound else text}, names)

    start = len(family.name)
    return [
        (
            index,
            format_name(family.name, escaping, row.name[start:]),
            format_own(*row.label) if row.label else "",
        )
        for index, row in family.rows.items()
    ]


def _write_lines(special: SpecialWriter | None, fill: LineWriter, point: Point, block: str) -> str:
    lines = None if special is None else special(point, block)
    return fill(point, block) if lines is None else lines


def _render_values(
    family: LiveFamily, name: str, labels: FamilyLabels, special: SpecialWriter | None
) -> Iterator[str | None]:
    """Yield the lines of counters or gauges, one line for each child: benchmarks/render.py.

    These points have ``value`` beside ``read_numbers()``, and counters ``exemplar`` beside ``read_exemplars()``. The
    loop calls no function for a child whose value is written as by repr and, if there is a ``special`` writer, not
    negative. A child without an exemplar needs no ``special`` writer unless its number is negative or NaN.
    """
    head = f"{name}{{"
    low = -float_info.max if special is None else 0.0  # OpenMetrics forbids negative counters
    high = FIRST_EXPONENT
    write_block = labels.write_block

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
                    if low <= (v := p.value) < high
                    else f"{head}{p.label_block or write_block(p)}}} {format_number(v)}\n"
                    if v >= high
                    else _write_lines(special, fill, p, write_block(p))
                    for p in points
                ]
            )


def _make_filler(family: LiveFamily, rows: Sequence[Row], labels: FamilyLabels) -> LineWriter:
    """Return a function that writes the lines of a child from a template for the whole family."""
    indexes = [index for index, _, _ in rows]
    is_whole = len(indexes) == len(family.descriptor.list_rows())
    bare = _make_template(rows, own_alone=True)
    join_middle = _make_joiner(rows)
    # One template is right for all children whose own labels stand at the same end of the block.
    templates = {True: _make_template(rows, own_first=True), False: _make_template(rows)}

    def fill(point: Point, block: str) -> str:
        numbers = point.read_numbers()
        values: Sequence[object] = numbers if is_whole else [numbers[index] for index in indexes]
        # %s writes a float as by repr, which is right for numbers below the bound only. Only the last one, a sum or a
        # value, can be negative: their sum shows whether one of them is too large.
        if not sum(numbers) < FIRST_EXPONENT or numbers[-1] < 0:
            values = [format_number(numbers[index]) for index in indexes]
        if not block:
            return bare % tuple(values)
        place = labels.find_place(point)
        if place.is_middle:
            return join_middle(*place.cut(block), block, values)
        fields: list[object] = [block] * (2 * len(values))
        fields[1::2] = values
        return templates[place.is_first] % tuple(fields)

    return fill


def _make_template(rows: Sequence[Row], *, own_first: bool = False, own_alone: bool = False) -> str:
    """Return the lines of a child's rows as a template, with a label block and a number for each, or only a number."""
    lines = []
    for _, name, own in rows:
        labels = [] if own_alone else ["%s"]
        if own:
            labels.insert(0 if own_first else len(labels), own.replace("%", "%%"))
        lines.append(format_sample_line(name.replace("%", "%%"), ",".join(labels), "%s"))
    return "".join(lines)


def _make_joiner(rows: Sequence[Row]) -> Callable[[str, str, str, Sequence[object]], str]:
    """Return a function that writes the lines of a child with own labels in the middle of its block.

    It takes what stands before the own label and after it, the block, and the numbers. Rows with an own label come
    first. A template with the two parts of the block as fields would take a third more: benchmarks/render.py.
    """
    owns = [own for _, _, own in rows if own]
    name = next((name for _, name, own in rows if own), "")
    start = f"{{{name}," if name.startswith('"') else f"{name}{{"
    others = _make_template([row for row in rows if not row[2]])

    def join(before: str, after: str, block: str, values: Sequence[object]) -> str:
        first, after = f"{start}{before}", f"{after}}} "
        own_lines = [f"{own}{after}{value!s}" for own, value in zip(owns, values, strict=False)]
        lines = [first, f"\n{first}".join(own_lines), "\n"]
        if len(values) > len(owns):
            fields: list[object] = [block] * (2 * (len(values) - len(owns)))
            fields[1::2] = values[len(owns) :]
            lines.append(others % tuple(fields))
        return "".join(lines)

    return join
