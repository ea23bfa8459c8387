"""The base of all metrics here, from which programs also derive kinds of their own.

*Theory of operation.* A class that derives from `MetricWrapperBase` alone keeps its numbers itself, in one process:

1. The constructor checks the definition. ``_metric_init`` prepares a metric without labels. Then the metric registers.
2. ``labels()`` creates an object of the class for label values that are new, with ``_labelvalues``. ``_metric_init``
   prepares it, and ``_metrics`` of the metric holds it.
3. ``collect()`` makes the family of the samples that ``_child_samples`` yields for each object, under suffixes instead
   of names.

The six kinds of asyncmetrics come before this class in the order of their bases: their methods win.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from asyncmetrics.children.table import select_keys
from asyncmetrics.errors import DefinitionError, LabelError, show
from asyncmetrics.metrics import MetricWrapperBase as MetricBase
from asyncmetrics.model.family import METRIC_TYPES, Metric
from asyncmetrics.model.names import build_name, to_label_text
from asyncmetrics.model.samples import Sample
from asyncmetrics.prometheus_client._hooks import collect_own_samples
from asyncmetrics.prometheus_client.registry import REGISTRY
from asyncmetrics.prometheus_client.validation import check_label_names, check_metric_name

__all__ = ("MetricWrapperBase",)

M = TypeVar("M", bound="MetricWrapperBase")


class MetricWrapperBase(MetricBase[Any, Any, Any, Any, Any, Any, Any, Any] if TYPE_CHECKING else ABC):  # type: ignore[misc]
    """What all metrics have in common: six kinds are here, and a program may derive others.

    A derived class sets ``_type`` to one of `METRIC_TYPES`, and overrides ``_metric_init`` (prepare a metric without
    labels, or one child) and ``_child_samples`` (yield the samples of it, under suffixes such as ``"_total"``). The
    constructor raises `DefinitionError` for names that no metric can have. ``labels``, ``remove`` and
    ``remove_by_labels`` raise `LabelError`.
    """

    _type: ClassVar[Any] = None
    _reserved_labelnames: Sequence[str] = ()

    if TYPE_CHECKING:  # type checkers see the methods of asyncmetrics
        _name: Any  # computed in the six kinds, as the following ones
        _documentation: Any
        _unit: Any
        _labelnames: Any
        _labelvalues: Any
        _metrics: Any

        def collect(self) -> Iterable[Metric]:
            """Return the family of this metric."""
            ...

        def labels(self: M, *labelvalues: object, **labelkwargs: object) -> M:  # noqa: PYI019  # for Python 3.10
            """Return the child with these label values: an object of the metric's class."""
            ...

    else:

        def __init__(
            self,
            name: str,
            documentation: object,
            labelnames: Iterable[str] = (),
            namespace: str = "",
            subsystem: str = "",
            unit: str = "",
            registry: object = REGISTRY,
            _labelvalues: Sequence[str] | None = None,
        ) -> None:
            kind = "unknown" if self._type == "untyped" else self._type
            if kind not in METRIC_TYPES:
                owner = f"class {type(self).__name__}"
                raise DefinitionError(owner, f"expected a _type that is one of {METRIC_TYPES}, got {show(kind)}")
            self._original_name, self._namespace, self._subsystem, self._unit = name, namespace, subsystem, unit
            self._name = build_name(kind, name, namespace, subsystem, unit, check_metric_name)
            self._labelnames = check_label_names(self._name, labelnames, frozenset(self._reserved_labelnames))
            self._labelvalues = tuple(_labelvalues or ())
            self._kwargs: dict[str, Any] = {}
            self._documentation = str(documentation)
            self._registry = None if self._labelvalues else registry
            if self._is_parent():
                self._lock = Lock()
                self._metrics = {}
            else:
                self._metric_init()
            if registry and not self._labelvalues:
                registry.register(self)

        def labels(self, *labelvalues: object, **labelkwargs: object) -> Any:
            """Return the child with these label values, in order or by name; create it if it is new."""
            values = self._read_label_values(labelvalues, labelkwargs)
            child = self._metrics.get(values)
            if child is None:
                definition = {
                    "documentation": self._documentation,
                    "labelnames": self._labelnames,
                    "namespace": self._namespace,
                    "subsystem": self._subsystem,
                    "unit": self._unit,
                    "_labelvalues": values,
                }
                new_child = type(self)(self._original_name, **{**(self._kwargs or {}), **definition})
                # No lock, as a finaliser may call this method too. Threads may each make a child: the first one stays.
                child = self._metrics.setdefault(values, new_child)
            return child

        def _read_label_values(self, values: tuple[object, ...], named: Mapping[str, object]) -> tuple[str, ...]:
            self._require_label_names()
            if self._labelvalues:
                present = dict(zip(self._labelnames, self._labelvalues, strict=True))
                raise LabelError(self._name, f"already has labels set ({present}): call labels() of the metric")
            if values and named:
                raise LabelError(self._name, "Can't pass both *args and **kwargs")
            if named:
                if named.keys() != {*self._labelnames}:
                    problem = f"Incorrect label names: expected {list(self._labelnames)}, got {list(named)}"
                    raise LabelError(self._name, problem)
                values = tuple(named[name] for name in self._labelnames)
            return self._make_key(values)

        def _make_key(self, values: tuple[object, ...]) -> tuple[str, ...]:
            if len(values) != len(self._labelnames):
                problem = (
                    f"Incorrect label count: expected a value each of {list(self._labelnames)}, got {show(values)}"
                )
                raise LabelError(self._name, problem)
            return tuple(map(to_label_text, values))

        def _require_label_names(self) -> None:
            if not self._labelnames:
                raise LabelError(self._name, f"No label names were set when constructing {self}")

        def remove(self, *labelvalues: object) -> None:
            """Remove the child with these label values, if there is one."""
            self._require_label_names()
            self._metrics.pop(self._make_key(labelvalues), None)

        def remove_by_labels(self, labels: Mapping[str, object]) -> None:
            """Remove every child that has these values; an empty mapping removes none."""
            self._require_label_names()
            if not isinstance(labels, Mapping):
                message = f"{self._name}: labels must be a dict of label names to values, got {show(labels)}"
                raise TypeError(message)
            if unknown := [name for name in labels if name not in self._labelnames]:
                problem = f"Unknown label names: {unknown}; expected {list(self._labelnames)}"
                raise LabelError(self._name, problem)
            for key in select_keys(list(self._metrics), self._labelnames, labels):
                self._metrics.pop(key, None)

        def clear(self) -> None:
            """Remove every child; a metric without labels stays as it is."""
            if self._is_parent():
                self._metrics = {}

        def describe(self) -> Iterable[Metric]:
            """Return the family of this metric without samples."""
            return [self._get_metric()]

        def collect(self) -> Iterable[Metric]:
            """Return the family of this metric, with the numbers of this process."""
            return collect_own_samples(self)

    def _get_metric(self) -> Metric:
        return Metric(self._name, self._documentation, self._type, self._unit)

    def _metric_init(self) -> None:
        """Prepare a child, or a metric without labels: for derived classes."""
        raise NotImplementedError(f"class {type(self).__name__}: override _metric_init() to prepare a child")

    def _child_samples(self) -> Iterable[Sample]:
        """Yield the samples of a child, or of a metric without labels, under suffixes instead of names."""
        raise NotImplementedError(f"class {type(self).__name__}: override _child_samples() to yield a child's samples")

    def _samples(self) -> Iterable[Sample]:
        """Yield the samples, under suffixes instead of names, as prometheus_client's method of this name."""
        return self._multi_samples() if self._is_parent() else self._child_samples()

    def _multi_samples(self) -> Iterable[Sample]:
        for values, child in dict(self._metrics).items():  # of this moment, in one call: a finaliser may add to it
            labels = dict(zip(self._labelnames, values, strict=True))
            for sample in child._samples():
                suffix, own, *rest = sample
                yield Sample(suffix, {**labels, **own}, *rest)

    def _is_observable(self) -> bool:
        return not self._labelnames or bool(self._labelvalues)

    def _is_parent(self) -> bool:
        return not self._is_observable()

    def _raise_if_not_observable(self) -> None:
        if not self._is_observable():
            raise LabelError(
                self._name, f"{self._type} metric is missing label values: choose a child by labels() first"
            )

    def __str__(self) -> str:
        return f"{self._type}:{self._name}"

    def __repr__(self) -> str:
        return f"{type(self).__module__}.{type(self).__name__}({self._name})"
