"""Private methods of prometheus_client that derived classes override, and numbers that they keep elsewhere.

*Theory of operation.* A library may derive a class from `Counter` or another kind, and override ``_metric_init``,
``_child_samples``, ``_multi_samples`` or ``_samples``:

1. ``_metric_init`` is called for each child, and for a metric without labels. If it stores objects of its own under
   ``_value``, ``_sum``, ``_count`` or ``_buckets``, the operations use these instead of the child's numbers
   (`adopt_values`): the numbers may be in a database.
2. The family of such a class has the samples that ``_samples`` yields (`collect_samples`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Any, NoReturn, TypeGuard

from asyncmetrics.children.interfaces import CounterChild, GaugeChild, HistogramChild, Labelled, SummaryChild
from asyncmetrics.errors import AmountError
from asyncmetrics.model.descriptor import format_bound
from asyncmetrics.model.family import Metric
from asyncmetrics.model.samples import Sample
from asyncmetrics.registry import CollectorRegistry
from asyncmetrics.registry.self_metrics import get_self_metrics

__all__ = ("adopt_values", "collect_own_samples", "collect_samples", "find_hooks", "is_complete", "sample_values")

_HOOKS = ("_metric_init", "_child_samples", "_multi_samples", "_samples")
_ADVICE = "its class makes its samples itself, which prometheus_client defines for one process"
_VALUES = ("_value", "_sum", "_count", "_buckets")


def is_complete(registry: object) -> TypeGuard[CollectorRegistry]:
    """Return whether ``registry`` has a storage: the constructor of a derived class may not have called ours."""
    return isinstance(registry, CollectorRegistry) and "storage" in vars(registry)


def find_hooks(cls: type, base: type) -> list[str]:
    """Return the private methods that ``cls`` overrides."""
    return [name for name in _HOOKS if getattr(cls, name) is not getattr(base, name)]


def collect_samples(metric: Any) -> list[Metric]:
    """Return the family of the samples that ``metric._samples()`` yields."""
    if not metric._keeps_values and {*find_hooks(type(metric), metric._hook_base)} <= {"_metric_init"}:
        return list(metric._library_class.collect(metric))  # only `_metric_init` is overridden
    return collect_own_samples(metric)


def collect_own_samples(metric: Any) -> list[Metric]:
    """Return the family of what ``metric._samples()`` yields, and count that it has the numbers of one worker."""
    registry = metric._registry
    if is_complete(registry) and len(registry.storage.list_processes()) > 1:
        get_self_metrics(registry).count_single_worker(metric._name, _ADVICE)
    family: Metric = metric._get_metric()
    for sample in metric._samples():
        suffix, *rest = sample
        family.add_sample(metric._name + suffix, *rest)
    return [family]


def adopt_values(metric: Any) -> bool:
    """Let the operations of a metric, or of a child, use the values that its ``_metric_init`` has stored in it.

    Return whether there are some.
    """
    if vars(metric).keys().isdisjoint(_VALUES):
        return False
    child = _CHILDREN[metric.descriptor.kind](metric)
    metric._resolve = lambda: child
    for operation in metric._own_operations:
        vars(metric).pop(operation, None)
    return True


def sample_values(metric: Any) -> Iterator[Sample] | None:
    """Return the samples of a child that has values of its own, under suffixes instead of names; None for others."""
    if vars(metric).keys().isdisjoint(_VALUES):
        return None
    return _SAMPLERS[metric.descriptor.kind](metric)


class _OwnValues(Labelled):
    """A child whose numbers are in objects of ``metric``."""

    __slots__ = ("_metric",)

    def __init__(self, metric: Any) -> None:
        self._metric = metric

    def __repr__(self) -> str:
        return repr(self._metric)


class _CounterValues(_OwnValues, CounterChild):
    __slots__ = ()

    def inc(self, amount: float = 1.0, exemplar: Mapping[str, str] | None = None) -> None:  # noqa: ARG002
        if amount < 0:
            raise AmountError(repr(self), amount, "a number that is not negative")
        self._metric._value.inc(amount)

    def reset(self) -> None:
        self._metric._value.set(0)


class _GaugeValues(_OwnValues, GaugeChild):
    __slots__ = ()

    def inc(self, amount: float = 1.0) -> None:
        self._metric._value.inc(amount)

    def dec(self, amount: float = 1.0) -> None:
        self._metric._value.inc(-amount)

    def set(self, value: float) -> None:
        self._metric._value.set(float(value))

    def set_function(self, f: object, **_: object) -> NoReturn:
        raise NotImplementedError(f"{self!r} keeps its number elsewhere, so no function can replace it")


class _SummaryValues(_OwnValues, SummaryChild):
    __slots__ = ()

    def observe(self, amount: float) -> None:
        self._metric._count.inc(1)
        self._metric._sum.inc(amount)


class _HistogramValues(_OwnValues, HistogramChild):
    __slots__ = ()

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:  # noqa: ARG002
        metric = self._metric
        metric._sum.inc(amount)
        for bound, bucket in zip(metric._upper_bounds, metric._buckets, strict=True):
            if amount <= bound:
                bucket.inc(1)
                break


_CHILDREN: dict[str, type[_OwnValues]] = {
    "counter": _CounterValues,
    "gauge": _GaugeValues,
    "summary": _SummaryValues,
    "histogram": _HistogramValues,
}


def _sample_histogram(metric: Any) -> Iterator[Sample]:
    counts = [*accumulate(bucket.get() for bucket in metric._buckets)]
    for bound, count in zip(metric._upper_bounds, counts, strict=True):
        yield Sample("_bucket", {"le": format_bound(bound)}, count)
    yield Sample("_count", {}, counts[-1])
    yield Sample("_sum", {}, metric._sum.get())


_SAMPLERS: dict[str, Callable[[Any], Iterator[Sample]]] = {
    "counter": lambda metric: iter((Sample("_total", {}, metric._value.get()),)),
    "gauge": lambda metric: iter((Sample("", {}, metric._value.get()),)),
    "summary": lambda metric: iter((Sample("_count", {}, metric._count.get()), Sample("_sum", {}, metric._sum.get()))),
    "histogram": _sample_histogram,
}
