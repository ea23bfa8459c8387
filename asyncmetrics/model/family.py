"""A metric family: name, type, help, unit and samples. A registry yields families, and a format writes them.

There are two kinds of families, and formats write both:

* A custom collector builds a `Metric` with a list of samples.
* A metric of this library yields a `LiveFamily` to the expositions. It holds no samples: it reads the children in
  batches, so that a million children are never copied at once. Programs never see one: ``collect()`` returns a `Metric`
  with the samples of that moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from asyncmetrics.errors import DefinitionError
from asyncmetrics.model.checks import check_text
from asyncmetrics.model.descriptor import Descriptor, Row
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.names import clean_text
from asyncmetrics.model.samples import Exemplar, NativeHistogram, Sample, Timestamp

__all__ = ("METRIC_TYPES", "LiveFamily", "Metric", "Point", "copy_family")

METRIC_TYPES = tuple(KINDS)


class Metric:
    """A metric family, with its samples; prometheus_client calls it Metric.

    Custom collectors use the subclasses in `asyncmetrics.core`.

    ``typ`` is one of `METRIC_TYPES` (``untyped`` means ``unknown``). The ``unit`` is appended to the name if the name
    does not end with it. ``partial`` is whether `restrict` has removed samples. Raises `DefinitionError` for an unknown
    type, and for a name that is empty or that no exposition can hold: with NUL or a lone surrogate.
    """

    def __init__(self, name: str, documentation: str, typ: str, unit: str = "") -> None:
        check_text("name", name, "orders")
        check_text("unit", unit or "", "bytes", f"metric {name!r}")
        self.name = f"{name}_{unit}" if unit and not name.endswith(f"_{unit}") else name
        self.documentation = documentation
        self.unit = unit
        self.type = "unknown" if typ == "untyped" else typ
        self.partial = False
        self._samples: list[Sample] = []
        if self.type not in METRIC_TYPES:
            raise DefinitionError(f"metric {name!r}", f"expected one of the types {METRIC_TYPES}, got {typ!r}")
        if not self.name or "\0" in self.name or clean_text(self.name) != self.name:
            raise DefinitionError(
                f"metric name {name!r}", "expected at least one character, and neither NUL nor a lone surrogate"
            )

    @property
    def samples(self) -> list[Sample]:
        """The samples, in the order of the exposition."""
        return self._samples

    @samples.setter
    def samples(self, samples: list[Sample]) -> None:
        self._samples = samples

    def add_sample(
        self,
        name: str,
        labels: dict[str, str],
        value: float,
        timestamp: float | Timestamp | None = None,
        exemplar: Exemplar | None = None,
        native_histogram: NativeHistogram | None = None,
    ) -> None:
        """Append one sample. ``timestamp`` is a Unix time in seconds."""
        self._samples.append(Sample(name, labels, value, timestamp, exemplar, native_histogram))

    def restrict(self, names: frozenset[str]) -> Metric | None:
        """Return a family with only the samples that ``names`` contains, or None if there are none.

        The name of the family itself stands for all its samples.
        """
        samples = self.samples if self.name in names else [s for s in self.samples if s.name in names]
        if not samples:
            return None
        family = copy_family(self, samples)
        family.partial = self.partial or len(samples) < len(self.samples)
        return family

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Metric):
            return NotImplemented
        mine = (self.name, self.documentation, self.type, self.unit, self.samples)
        return mine == (other.name, other.documentation, other.type, other.unit, other.samples)

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"Metric({self.name}, {self.documentation}, {self.type}, {self.unit}, {self.samples})"


def copy_family(family: Metric, samples: list[Sample]) -> Metric:
    """Return a plain `Metric` with the attributes of ``family`` and these ``samples``.

    The attributes are not checked: a collector may have assigned to them, and a name may end without the unit.
    """
    copy = Metric.__new__(Metric)
    copy.name, copy.documentation, copy.type = family.name, family.documentation, family.type
    copy.unit, copy.partial, copy.samples = family.unit, family.partial, samples
    return copy


class Point(Protocol):
    """One child as formats read it: its labels, and its numbers in the order of `Descriptor.list_rows`."""

    @property
    def labelvalues(self) -> tuple[str, ...]:
        """The label values, in the order of the descriptor's names."""
        ...

    @property
    def label_block(self) -> str | None:
        """The label block, ``method="GET",route="/"``, or None if it depends on the escaping scheme."""
        ...

    @property
    def created(self) -> float:
        """The Unix time in seconds at which the child was created."""
        ...

    def read_numbers(self) -> Sequence[float]:
        """Return a number for each row of the descriptor, all of one moment."""
        ...

    def read_exemplars(self) -> Mapping[int, Exemplar]:
        """Return the exemplars by the index of their row."""
        ...

    def read_native(self) -> NativeHistogram | None:
        """Return the native histogram, which may be newer than the numbers, with its exemplars by their times.

        None if the descriptor declares none.
        """
        ...

    def read_extra_labels(self) -> Mapping[str, str]:
        """Return the labels that are not in the descriptor: the facts of an info, or the label of the worker."""
        ...


class LiveFamily(Metric):
    """The children of a metric of this library, read in batches while they change.

    *Live* means that the samples are read during a scrape; it has nothing to do with live workers.

    ``read`` returns an iterator of batches of points, and becomes `read_batches`. ``now`` is the Unix time of the
    collection. ``created`` is whether to expose ``_created`` samples, where the kind has them. ``names`` restricts the
    family, see `restrict`. ``rows`` are the rows that are exposed, by their index in `Descriptor.list_rows`.
    ``has_native`` is whether each child has a native histogram, which is no row: a sample with the name of the family.
    ``replaces`` has the descriptors of this process's metrics whose families this one replaces, because a newer
    definition in another worker differs. ``encodings`` is a list in which a format keeps what it has encoded from
    one scrape to the next; None if nothing can be kept.
    """

    def __init__(
        self,
        descriptor: Descriptor,
        read: Callable[[], Iterator[Sequence[Point]]],
        *,
        now: float,
        created: bool = False,
        names: frozenset[str] | None = None,
        replaces: Sequence[Descriptor] = (),
        encodings: list[Any] | None = None,
    ) -> None:
        super().__init__(descriptor.name, descriptor.documentation, descriptor.kind, descriptor.unit)
        self.descriptor = descriptor
        self.replaces = replaces
        self.encodings = encodings
        self.read_batches = read
        self.now = now
        everything = names is None or self.name in names
        self.rows: dict[int, Row] = {
            index: row
            for index, row in enumerate(descriptor.list_rows())
            if everything or (names is not None and row.name in names)
        }
        self.partial = len(self.rows) < len(descriptor.list_rows())
        self.has_native = everything and descriptor.native is not None
        self.has_created = (
            created
            and descriptor.has_created
            and (everything or (names is not None and f"{self.name}_created" in names))
        )

    @property
    def samples(self) -> list[Sample]:
        """All samples, built on each access: for tests and small families."""
        return list(self.iter_samples())

    @samples.setter
    def samples(self, samples: list[Sample]) -> None:  # noqa: ARG002  # the setter of the base class
        raise DefinitionError(
            f"metric {self.name!r}", "the samples of a live family cannot be set: it reads them from its children"
        )

    def restrict(self, names: frozenset[str]) -> LiveFamily | None:
        """Return a family with only the rows that ``names`` contains, or None if there are none."""
        options: dict[str, Any] = {"now": self.now, "created": self.has_created, "encodings": self.encodings}
        family = LiveFamily(self.descriptor, self.read_batches, names=names, **options)
        return family if family.rows or family.has_created else None

    def get_created(self, point: Point) -> float:
        """Return the time at which ``point`` was created, or `now` if the wall clock has been set back since."""
        return min(point.created, self.now)

    def iter_samples(self) -> Iterator[Sample]:
        """Read the children, and yield their samples one by one; nothing that a sample has belongs to a child."""
        names = self.descriptor.all_labelnames
        for point in _flatten(self.read_batches()):
            labels = dict(zip(names, point.labelvalues, strict=True))
            labels.update(point.read_extra_labels())
            if self.descriptor.omit_empty:
                labels = {name: value for name, value in labels.items() if value}
            numbers = point.read_numbers()
            exemplars = point.read_exemplars()
            exemplars = {index: one._replace(labels=dict(one.labels)) for index, one in exemplars.items()}
            for index, row in self.rows.items():
                own = {**labels, row.label[0]: row.label[1]} if row.label else dict(labels)
                yield Sample(row.name, own, numbers[index], None, exemplars.get(index))
            native = point.read_native() if self.has_native else None
            if native is not None:
                yield Sample(self.name, dict(labels), native.count_value, native_histogram=native)
            if self.has_created:
                yield Sample(f"{self.name}_created", labels, self.get_created(point))


def _flatten(batches: Iterable[Sequence[Point]]) -> Iterator[Point]:
    for batch in batches:
        yield from batch
