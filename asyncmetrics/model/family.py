"""A metric family: name, type, help, unit and samples, as a registry yields it and a format writes it.

*Theory of operation.* A custom collector builds a `Metric` with a list of samples. The library's own metrics come as
a `LiveFamily`: it holds no samples but reads the children in slices when asked, so that a million of them are never
copied; its ``samples`` are made only for those who want them. Formats write both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from asyncmetrics.errors import DefinitionError
from asyncmetrics.model.descriptor import Descriptor, Row
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.samples import Exemplar, Sample, Timestamp

__all__ = ("METRIC_TYPES", "LiveFamily", "Metric", "Point")

METRIC_TYPES = tuple(KINDS)


class Metric:
    """A metric family with its samples; custom collectors use the subclasses in `asyncmetrics.core`.

    ``typ`` is one of `METRIC_TYPES` (``untyped`` means ``unknown``). A ``unit`` that the name does not end with is
    appended to it. ``partial`` says that samples are missing because only some names were asked for (`restricted`).
    Raises `DefinitionError` for an empty name, one that no UTF-8 can carry, or an unknown type.
    """

    def __init__(self, name: str, documentation: str, typ: str, unit: str = "") -> None:
        self.name = f"{name}_{unit}" if unit and not name.endswith(f"_{unit}") else name
        self.documentation = documentation
        self.unit = unit
        self.type = "unknown" if typ == "untyped" else typ
        self.partial = False
        self._samples: list[Sample] = []
        if self.type not in METRIC_TYPES:
            raise DefinitionError(f"metric {name!r}", f"expected a type out of {METRIC_TYPES}, got {typ!r}")
        if not self.name or not self.name.isprintable():
            raise DefinitionError(f"metric name {name!r}", "expected one or more printable characters")

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
    ) -> None:
        """Append one sample; ``timestamp`` is a Unix time in seconds."""
        self._samples.append(Sample(name, labels, value, timestamp, exemplar))

    def restricted(self, names: frozenset[str]) -> Metric | None:
        """Return this family with only the samples called one of ``names``, or None when none is left.

        The name of the family itself stands for all its samples.
        """
        kept = self.samples if self.name in names else [s for s in self.samples if s.name in names]
        if not kept:
            return None
        part = Metric(self.name, self.documentation, self.type, self.unit)
        part.samples = kept
        part.partial = len(kept) < len(self.samples)
        return part

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Metric):
            return NotImplemented
        mine = (self.name, self.documentation, self.type, self.unit, self.samples)
        return mine == (other.name, other.documentation, other.type, other.unit, other.samples)

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"Metric({self.name}, {self.documentation}, {self.type}, {self.unit}, {self.samples})"


class Point(Protocol):
    """One child as formats see it: its labels, and its numbers in the order of the descriptor's rows."""

    @property
    def labelvalues(self) -> tuple[str, ...]:
        """The label values, in the order of the descriptor's names."""
        ...

    @property
    def label_block(self) -> str | None:
        """The label block, ``method="GET",route="/"`` without braces, where the names are written in one way only."""
        ...

    @property
    def created(self) -> float:
        """When the child was made, as a Unix time in seconds."""
        ...

    def read_numbers(self) -> Sequence[float]:
        """Return one consistent reading, a number for each row of the descriptor."""
        ...

    def read_exemplars(self) -> Mapping[int, Exemplar]:
        """Return the exemplars by the index of their row."""
        ...

    def read_extra_labels(self) -> Mapping[str, str]:
        """Return the labels that this child has besides its metric's: those of an info."""
        ...


class LiveFamily(Metric):
    """The children of one of the library's own metrics, read in slices while they change.

    ``read`` starts a reading and yields slices of points. ``now`` is the Unix time of the collection. ``created``
    says whether the ``_created`` samples are exposed. ``rows`` are the rows that are left after a restriction, by
    their index among the descriptor's rows.
    """

    def __init__(
        self,
        descriptor: Descriptor,
        read: Callable[[], Iterator[Sequence[Point]]],
        *,
        now: float,
        created: bool = False,
        names: frozenset[str] | None = None,
    ) -> None:
        super().__init__(descriptor.name, descriptor.documentation, descriptor.kind, descriptor.unit)
        self.descriptor = descriptor
        self.batches = read
        self.now = now
        everything = names is None or self.name in names
        self.rows: dict[int, Row] = {
            index: row
            for index, row in enumerate(descriptor.rows())
            if everything or (names is not None and row.name in names)
        }
        self.created = (
            created
            and descriptor.has_created
            and (everything or (names is not None and f"{self.name}_created" in names))
        )

    @property
    def samples(self) -> list[Sample]:
        """All samples, made anew at each call: for tests and small families."""
        return list(self._iter_samples())

    @samples.setter
    def samples(self, samples: list[Sample]) -> None:  # noqa: ARG002  # the setter of the base class
        raise DefinitionError(f"metric {self.name!r}", "the samples of a live family are read from its children")

    def restricted(self, names: frozenset[str]) -> LiveFamily | None:
        """Return this family with only the rows called one of ``names``, or None when none is left."""
        part = LiveFamily(self.descriptor, self.batches, now=self.now, created=self.created, names=names)
        return part if part.rows or part.created else None

    def created_of(self, point: Point) -> float:
        """Return when ``point`` was created, never in the future even if the wall clock was set back since."""
        return min(point.created, self.now)

    def _iter_samples(self) -> Iterator[Sample]:
        names = self.descriptor.all_labelnames
        for point in _flatten(self.batches()):
            labels = dict(zip(names, point.labelvalues, strict=True))
            labels.update(point.read_extra_labels())
            numbers = point.read_numbers()
            exemplars = point.read_exemplars()
            for index, row in self.rows.items():
                own = {**labels, row.label[0]: row.label[1]} if row.label else dict(labels)
                yield Sample(row.name, own, numbers[index], None, exemplars.get(index))
            if self.created:
                yield Sample(f"{self.name}_created", labels, self.created_of(point))


def _flatten(batches: Iterable[Sequence[Point]]) -> Iterator[Point]:
    for batch in batches:
        yield from batch
