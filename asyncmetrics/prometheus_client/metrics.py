"""The six kinds of metrics, with what programs of prometheus_client use besides the public names.

What the classes of asyncmetrics do not have:

* ``labels()`` returns an object of the metric's class (`asyncmetrics.metrics._resolvers.View`).
* Private attributes can be read: ``_value.get()``, ``_labelnames``, ``_metrics`` and others.
* Names may have any characters in UTF-8, and errors have prometheus_client's words besides ours.
* ``_created`` is exposed unless `disable_created_metrics` is called.
"""

# pyright: reportIncompatibleMethodOverride=false
# (`labels` returns the metric's class, which is also a child of its kind: pyright does not see that.)

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from asyncmetrics import metrics as core
from asyncmetrics.children.table import ChildTable
from asyncmetrics.errors import DuplicateMetricError, LabelError
from asyncmetrics.metrics import MetricWrapperBase as MetricBase
from asyncmetrics.model.descriptor import GAUGE_MODES
from asyncmetrics.model.names import build_name
from asyncmetrics.prometheus_client._hooks import adopt_values, collect_samples, find_hooks, is_complete, sample_values
from asyncmetrics.prometheus_client._installation import is_installed
from asyncmetrics.prometheus_client._values import Children, Number, PrivateView
from asyncmetrics.prometheus_client._wrapper import MetricWrapperBase
from asyncmetrics.prometheus_client.context_managers import ExceptionCounter, InprogressTracker, Timer
from asyncmetrics.prometheus_client.metrics_core import Metric
from asyncmetrics.prometheus_client.registry import REGISTRY, Collector, CollectorRegistry, DuplicateTimeseries
from asyncmetrics.prometheus_client.samples import Exemplar, Sample
from asyncmetrics.prometheus_client.utils import INF, floatToGoString
from asyncmetrics.prometheus_client.validation import (
    check_exemplar,
    check_label_names,
    check_label_names_of,
    check_metric_name,
)

__all__ = (
    "INF",
    "REGISTRY",
    "Collector",
    "CollectorRegistry",
    "Counter",
    "Enum",
    "ExceptionCounter",
    "Exemplar",
    "Gauge",
    "Histogram",
    "Info",
    "InprogressTracker",
    "Lock",
    "Metric",
    "MetricWrapperBase",
    "Sample",
    "Summary",
    "Timer",
    "disable_created_metrics",
    "enable_created_metrics",
    "floatToGoString",
)

T = TypeVar("T", bound="MetricWrapperBase")
F = TypeVar("F", bound=Callable[..., Any])

_validate_metric_name = check_metric_name  # programs import these from here
_validate_labelnames = check_label_names_of
_validate_exemplar = check_exemplar


def _get_use_created() -> bool:
    return os.environ.get("PROMETHEUS_DISABLE_CREATED_SERIES", "").lower() not in {"true", "1", "t"}


_use_created = _get_use_created()


def disable_created_metrics() -> None:
    """Stop exposing the creation times of counters, summaries and histograms."""
    global _use_created  # one switch for the process
    _use_created = False


def enable_created_metrics() -> None:
    """Expose the creation times of counters, summaries and histograms, as is the default here."""
    global _use_created  # one switch for the process
    _use_created = True


def _build_full_name(metric_type: str, name: str, namespace: str, subsystem: str, unit: str) -> str:
    return build_name(metric_type, name, namespace, subsystem, unit, check_metric_name)


def _find_child(metric: Any) -> Any:
    """Return the child of a metric without labels, or that of a view. Raises AttributeError for another one."""
    target = vars(metric).get("_target")
    if target is None and metric.descriptor.labelnames:
        raise AttributeError(f"{metric!r} has no value of its own: choose a child by labels() first")
    return metric._resolve()


def _make_number(index: int) -> PrivateView[Number]:
    return PrivateView(lambda metric: Number(_find_child(metric), index))


def _list_children(metric: Any) -> Children:
    if not metric.descriptor.all_labelnames or "_target" in vars(metric):
        raise AttributeError(f"{metric!r} has no children")
    return Children(metric)


def _read_label_values(metric: Any) -> tuple[str, ...]:
    target = vars(metric).get("_target")
    if target is None:
        return ()
    values: tuple[str, ...] = target.labelvalues if target.is_fixed else target._values
    return values


def _sample_child(metric: Any) -> Iterator[Sample]:
    """Yield the samples of a child, under suffixes instead of names, without its labels."""
    child = metric._resolve()
    descriptor = metric.descriptor
    numbers, exemplars, facts = child.read_numbers(), child.read_exemplars(), child.read_extra_labels()
    for index, row in enumerate(descriptor.list_rows()):
        own = {row.label[0]: row.label[1]} if row.label else {}
        suffix = row.name.removeprefix(descriptor.name)
        yield Sample(suffix, {**facts, **own}, numbers[index], None, exemplars.get(index))
    if _use_created and descriptor.has_created:
        yield Sample("_created", {}, child.created)


if TYPE_CHECKING:
    _Wrapper = MetricWrapperBase
else:
    _Wrapper = object


class _LibraryMetric(_Wrapper):
    """What the six kinds have in common. Each has `MetricWrapperBase` as its last base, so that ours come before it."""

    _hook_base: ClassVar[type[Any]]  # the kind, with the private methods as the library defines them
    _keeps_values: bool = False
    _check_name = staticmethod(check_metric_name)
    _check_label_names = staticmethod(check_label_names)
    _make_registry = staticmethod(CollectorRegistry)
    _is_created_enabled = staticmethod(lambda: _use_created)

    if not TYPE_CHECKING:  # the arguments are those of the classes of asyncmetrics

        def __init__(
            self,
            name: str,
            documentation: object,
            labelnames: Iterable[str] = (),
            namespace: str = "",
            subsystem: str = "",
            unit: str = "",
            registry: object = REGISTRY,
            _labelvalues: None = None,  # the position of prometheus_client's argument
            **options: Any,
        ) -> None:
            self._original_name, self._namespace, self._subsystem = name, namespace, subsystem
            self._kwargs = dict(options)
            is_ours = is_complete(registry)
            try:
                super().__init__(
                    name,
                    str(documentation),
                    tuple(labelnames),
                    namespace,
                    subsystem,
                    unit,
                    registry if is_ours else None,
                    **options,
                )
            except DuplicateMetricError as error:
                raise DuplicateTimeseries(error.duplicates, error.existing, error.rejected) from None
            if not self.descriptor.labelnames:
                self._complete(self)
            if registry and not is_ours:
                registry.register(self)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__module__ == __name__:
            cls._hook_base = cls
        elif find_hooks(cls, cls._hook_base) and cls.collect is MetricBase.collect:
            type.__setattr__(cls, "collect", collect_samples)

    def _metric_init(self) -> None:
        """Prepare a child, or a metric without labels: for derived classes."""

    def _complete(self, view: Any) -> None:
        view._metric_init()
        if adopt_values(view):
            self._keeps_values = True

    _name = PrivateView(lambda metric: metric.descriptor.name)
    _documentation = PrivateView(lambda metric: metric.descriptor.documentation)
    _unit = PrivateView(lambda metric: metric.descriptor.unit)
    _labelnames = PrivateView(lambda metric: metric.descriptor.labelnames)
    _labelvalues = PrivateView(_read_label_values)
    _metrics = PrivateView(_list_children)
    _lock = PrivateView(lambda _: Lock())

    def require_labels(self) -> None:
        """Raise `LabelError` if this is a metric whose labels are not chosen."""
        self._raise_if_not_observable()

    def _child_samples(self) -> Iterable[Sample]:
        own = sample_values(self)
        return _sample_child(self) if own is None else own

    def _find_child(self, values: tuple[object, ...]) -> Any:
        try:
            return super()._find_child(values)
        except LabelError as error:
            raise self._explain(error, "Incorrect label count") from None

    def _to_positional(self, values: tuple[object, ...], named: Mapping[str, object]) -> tuple[object, ...]:
        try:
            positional: tuple[object, ...] = super()._to_positional(values, named)
        except LabelError as error:
            text = "Can't pass both *args and **kwargs" if values else "Incorrect label names"
            raise self._explain(error, text) from None
        return positional

    def remove(self, *labelvalues: object) -> None:
        """Remove the child with these label values; see `asyncmetrics.Counter`."""
        try:
            super().remove(*labelvalues)
        except LabelError as error:
            raise self._explain(error, "Incorrect label count") from None

    def _explain(self, error: LabelError, text: str) -> LabelError:
        if not self._labelnames:
            text = f"No label names were set when constructing {self}"
        return LabelError(error.metric, f"{text}; it {error.problem}")

    def __repr__(self) -> str:
        if self._labelvalues:
            return f"{super().__repr__()}"
        module = type(self).__module__
        home = module.removeprefix("asyncmetrics.") if is_installed() else module  # as the program has imported it
        return f"{home}.{type(self).__name__}({self._name})"


class Counter(_LibraryMetric, core.Counter, MetricWrapperBase):
    """A number that only goes up: `asyncmetrics.Counter`."""

    _type: ClassVar[str] = "counter"
    _value = _make_number(0)
    _created = PrivateView(lambda metric: _find_child(metric).created)

    if not TYPE_CHECKING:  # type checkers see the method of asyncmetrics

        def count_exceptions(self, exception: Any = Exception, **options: Any) -> Any:
            """Count exceptions; see `asyncmetrics.Counter`. Raises `LabelError` if the labels are not chosen."""
            if not options:
                self.require_labels()
            return super().count_exceptions(exception, **options)


class Gauge(_LibraryMetric, core.Gauge, MetricWrapperBase):
    """A number that goes up and down: `asyncmetrics.Gauge`."""

    _type: ClassVar[str] = "gauge"
    _MULTIPROC_MODES: ClassVar[frozenset[str]] = frozenset(GAUGE_MODES)
    _MOST_RECENT_MODES: ClassVar[frozenset[str]] = frozenset({"mostrecent", "livemostrecent"})
    _value = _make_number(0)
    _multiprocess_mode = PrivateView(lambda metric: metric.descriptor.mode)

    def _use_table(self, children: ChildTable[Any]) -> None:
        children.takes_text = True  # as numbers come from tools, files and responses: set() converts them
        super()._use_table(children)

    if not TYPE_CHECKING:  # type checkers see the method of asyncmetrics

        def track_inprogress(self, *args: Any, **options: Any) -> Any:
            """Count what runs; see `asyncmetrics.Gauge`. Raises `LabelError` if the labels are not chosen."""
            if not options:
                self.require_labels()
            return super().track_inprogress(*args, **options)


class Summary(_LibraryMetric, core.Summary, MetricWrapperBase):
    """A count and a sum of observations: `asyncmetrics.Summary`."""

    _type: ClassVar[str] = "summary"
    _reserved_labelnames: Sequence[str] = ("quantile",)
    _count = _make_number(0)
    _sum = _make_number(1)
    _created = PrivateView(lambda metric: _find_child(metric).created)


class Histogram(_LibraryMetric, core.Histogram, MetricWrapperBase):
    """Counts of observations by size: `asyncmetrics.Histogram`."""

    _type: ClassVar[str] = "histogram"
    _reserved_labelnames: Sequence[str] = ("le",)
    _upper_bounds = PrivateView(lambda metric: list(metric.descriptor.buckets))
    _buckets = PrivateView(
        lambda metric: [Number(_find_child(metric), index) for index in range(len(metric.descriptor.buckets))]
    )
    _sum = PrivateView(lambda metric: Number(_find_child(metric), len(metric.descriptor.buckets) + 1))
    _count = PrivateView(lambda metric: Number(_find_child(metric), len(metric.descriptor.buckets)))
    _created = PrivateView(lambda metric: _find_child(metric).created)


class Info(_LibraryMetric, core.Info, MetricWrapperBase):
    """Facts as labels: `asyncmetrics.Info`."""

    _type: ClassVar[str] = "info"
    _value = PrivateView(lambda metric: dict(_find_child(metric).read_extra_labels()))


class Enum(_LibraryMetric, core.Enum, MetricWrapperBase):
    """The present state of something: `asyncmetrics.Enum`."""

    _type: ClassVar[str] = "stateset"
    _states = PrivateView(lambda metric: list(metric.descriptor.states))
    _value = PrivateView(lambda metric: list(_find_child(metric).read_numbers()).index(1.0))
