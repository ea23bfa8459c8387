"""The series of families, one by one, for sinks whose systems know a name, labels and a number.

*Theory of operation.*

1. `SeriesReader.read` goes through the families and yields batches. All children of a batch have one `Layout`: the
   names of their samples and of their labels. A sink makes a template of each layout once.
2. A child is the values of its labels and a number for each row of the layout. A live family has a row for each sample
   of a child; each sample of a custom family is a child of its own.
3. The added labels (``labels=``, ``job``, ``instance``) become constants of the layout, unless the series has them.

*Rules.*

* Leave out what a scrape leaves out as well: families without a name or type, samples that cannot be converted, and a
  series that occurs a second time. Report each to the handler.
* A batch is a step of an event loop: at most `_STEP` numbers, or one child.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias, final

from asyncmetrics.formats.writing.custom_families import UNREADABLE, SampleReader, is_writable, list_samples
from asyncmetrics.formats.writing.omissions import OmissionHandler, Omissions
from asyncmetrics.model.checks import check_mapping, check_text
from asyncmetrics.model.escaping import ALLOW_UTF_8
from asyncmetrics.model.family import LiveFamily, Metric, Point
from asyncmetrics.model.names import check_label_names
from asyncmetrics.model.samples import Sample

__all__ = ("Batch", "Child", "Layout", "SeriesReader", "SeriesRow", "check_labels")

_STEP = 128  # numbers in one step of an event loop: benchmarks/push_plain.py
_CUSTOM_STEP = 32  # samples of a custom family, which are checked one by one
_CUMULATIVE = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_count", "_sum"),
    "summary": ("_count", "_sum"),
}


class SeriesRow(NamedTuple):
    """One sample of each child: its name, its own label (``le`` or a state), and whether its number adds up events.

    ``may_fall`` is whether the number can fall without a new beginning: a sum of amounts that may be negative.
    """

    name: str
    label: tuple[str, str] | None
    is_cumulative: bool
    may_fall: bool = False


class Layout(NamedTuple):
    """What children have in common: ``rows``, ``names`` of labels whose values differ, and ``constants``, all others.

    ``key`` distinguishes the series of this layout from those of others.
    """

    key: tuple[str, ...]
    rows: tuple[SeriesRow, ...]
    names: tuple[str, ...]
    constants: tuple[tuple[str, str], ...]


Child: TypeAlias = tuple[tuple[str, ...], Sequence[float], float | None]
"""The values of the labels, a number for each row, and the Unix time in seconds, if the collector has set one."""

Batch: TypeAlias = tuple[Metric, Layout, Sequence[Child]]


def check_labels(labels: Mapping[str, str] | None) -> dict[str, str]:
    """Return a copy of the labels that are added to each series. Raises `DefinitionError` for what are no labels."""
    check_mapping("labels", labels or {}, "label names to text")
    check_label_names("labels", labels or {})
    for name, value in (labels or {}).items():
        check_text(f"labels[{name!r}]", value)
    return dict(labels or {})


@final
class SeriesReader:
    """Reads families as series, for the sink ``name``.

    ``added`` are labels for each series that does not have them. What is left out is reported to ``on_omitted``.
    """

    def __init__(self, name: str, added: Mapping[str, str], on_omitted: OmissionHandler) -> None:
        self.omissions = Omissions(name, on_omitted)
        self._added = added
        self._live_names: set[str] = set()
        self._seen: set[tuple[object, ...]] = set()

    def read(self, families: Iterable[Metric]) -> Iterator[Batch]:
        """Yield the series of ``families`` in batches. A batch may be empty, for work that found no series."""
        known = list(families)
        for family in known:
            if isinstance(family, LiveFamily):
                self._live_names.update(row.name for row in family.rows.values())
        for family in known:
            if not is_writable(family):
                self.omissions.add(family, "the family has no valid name or type")
            elif isinstance(family, LiveFamily):
                yield from _LiveReader(family, self._add_constants).read()
            else:
                yield from self._read_custom(family)

    def _read_custom(self, family: Metric) -> Iterator[Batch]:
        read = SampleReader(ALLOW_UTF_8, exemplars=False)
        layouts: dict[tuple[str, ...], Layout] = {}
        samples = list_samples(family)
        for start in range(0, len(samples), _CUSTOM_STEP):
            children: dict[Layout, list[Child]] = {}
            for raw in samples[start : start + _CUSTOM_STEP]:
                sample = read(raw)
                problem = self._find_problem(sample)
                if sample is None or problem:
                    self.omissions.add(family, problem)
                    continue
                key = (sample.name, *sample.labels)
                layout = layouts.get(key)
                if layout is None:
                    layout = layouts[key] = self._make_custom_layout(family, key)
                time = None if sample.timestamp is None else float(sample.timestamp)
                children.setdefault(layout, []).append((tuple(sample.labels.values()), (sample.value,), time))
            for layout, found in children.items():
                yield family, layout, found

    def _find_problem(self, sample: Sample | None) -> str:
        if sample is None:
            return UNREADABLE
        if sample.name in self._live_names:
            return "another family has the name"
        known = len(self._seen)
        self._seen.add((sample.name, *sample.labels.items()))
        return "" if len(self._seen) > known else "the series occurs twice"

    def _make_custom_layout(self, family: Metric, key: tuple[str, ...]) -> Layout:
        name = key[0]
        names = tuple(map(_unquote, key[1:]))
        suffix = name[len(family.name) :] if name.startswith(family.name) else None
        row = SeriesRow(name, None, suffix in _CUMULATIVE.get(family.type, ()))
        return Layout((name, *names), (row,), names, self._add_constants(names))

    def _add_constants(self, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        return tuple((name, value) for name, value in self._added.items() if name not in names)


@final
class _LiveReader:
    """Reads the children of one live family."""

    def __init__(
        self, family: LiveFamily, add_constants: Callable[[tuple[str, ...]], tuple[tuple[str, str], ...]]
    ) -> None:
        self._family = family
        self._add_constants = add_constants
        self._names = family.descriptor.all_labelnames
        self._omits = family.descriptor.omit_empty
        self._indexes = list(family.rows)
        self._rows = _list_rows(family)
        self._is_whole = len(self._indexes) == len(family.descriptor.list_rows()) and not family.has_created
        self._layouts: dict[tuple[str, ...], Layout] = {}

    def read(self) -> Iterator[Batch]:
        """Yield the children in batches of one layout each."""
        family = self._family
        size = max(1, _STEP // max(2, len(self._rows)))
        for points in family.read_batches():
            if not points:
                yield family, self._find_layout(self._names), []
            for start in range(0, len(points), size):
                yield from self._read_points(points[start : start + size])

    def _read_points(self, points: Sequence[Point]) -> Iterator[Batch]:
        layout = self._find_layout(self._names)
        children: list[Child] = []
        for point in points:
            extra = point.read_extra_labels()
            values = point.labelvalues
            numbers = point.read_numbers() if self._is_whole else self._pick_numbers(point)
            if not extra and (not self._omits or all(values)):
                children.append((values, numbers, None))
                continue
            labels = dict(zip(self._names, values, strict=True))
            labels.update(extra)
            if self._omits:
                labels = {name: value for name, value in labels.items() if value}
            yield self._family, self._find_layout(tuple(labels)), [(tuple(labels.values()), numbers, None)]
        yield self._family, layout, children

    def _pick_numbers(self, point: Point) -> Sequence[float]:
        numbers = point.read_numbers()
        picked = [numbers[index] for index in self._indexes]
        return [*picked, self._family.get_created(point)] if self._family.has_created else picked

    def _find_layout(self, names: tuple[str, ...]) -> Layout:
        layout = self._layouts.get(names)
        if layout is None:
            own = tuple({row.label[0] for row in self._rows if row.label})
            constants = self._add_constants((*names, *own))
            layout = self._layouts[names] = Layout((self._family.name, *names), self._rows, names, constants)
        return layout


def _list_rows(family: LiveFamily) -> tuple[SeriesRow, ...]:
    cumulative = {family.name + suffix for suffix in _CUMULATIVE.get(family.type, ())}
    is_signed = family.type == "summary" or family.descriptor.is_native_only  # amounts may be negative
    falling = {f"{family.name}_sum"} if is_signed else ()
    rows = [SeriesRow(row.name, row.label, row.name in cumulative, row.name in falling) for row in family.rows.values()]
    if family.has_created:
        rows.append(SeriesRow(f"{family.name}_created", None, is_cumulative=False))
    return tuple(rows)


def _unquote(name: str) -> str:
    """Return the name of a label without the quotes that the text format writes round names beyond ASCII."""
    return name[1:-1] if name.startswith('"') else name
