"""A class that a program derives from a metric class is honoured, with labels and without."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import pytest

from asyncmetrics import Counter, Enum, Gauge, Histogram, Info, Registry, Summary, bound_labels
from asyncmetrics.errors import LabelError
from asyncmetrics.metrics import MetricBase


class Doubling(Counter):
    """Counts twice, and remembers what it was asked for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.asked: list[float] = []

    def inc(self, amount: float = 1.0, exemplar: Mapping[str, str] | None = None) -> None:
        """Count ``amount`` twice."""
        self.asked.append(amount)
        super().inc(2 * amount, exemplar)

    def inc_often(self) -> None:
        """Use the method of the class."""
        self.inc(3)


class Rounding(Histogram):
    """Observes 5 whatever comes."""

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Observe 5."""
        super().observe(5 + 0 * amount, exemplar)


class Clamped(Gauge):
    """Never exceeds 10."""

    def set(self, value: float) -> None:
        """Set at most 10."""
        super().set(min(value, 10))


def test_override_of_a_metric_without_labels(registry: Registry) -> None:
    """An overridden `inc` is called, and reaches the number by ``super()``."""
    Doubling("jobs_total", "Jobs.", registry=registry).inc()
    assert registry.get_sample_value("jobs_total") == 2


def test_override_of_a_labelled_metric(registry: Registry) -> None:
    """``labels()`` returns an object of the class, so its `inc` is the overridden one."""
    jobs = Doubling("jobs_total", "Jobs.", ["kind"], registry=registry)
    jobs.labels("mail").inc()
    jobs.labels(kind="mail").inc_often()  # type: ignore[attr-defined]  # the class has it
    assert registry.get_sample_value("jobs_total", {"kind": "mail"}) == 8


def test_child_is_an_instance_of_the_class(registry: Registry) -> None:
    """As in prometheus_client, the child of a derived class is an instance of it, the same one each time."""
    jobs = Doubling("jobs_total", "Jobs.", ["kind"], registry=registry)
    assert isinstance(jobs.labels("mail"), Doubling)
    assert jobs.labels("mail") is jobs.labels(kind="mail")


def test_child_finds_what_the_constructor_stored(registry: Registry) -> None:
    """Attributes of the metric are found on its children."""
    jobs = Doubling("jobs_total", "Jobs.", ["kind"], registry=registry)
    jobs.labels("mail").inc(4)
    assert jobs.asked == [4]


@pytest.mark.parametrize("labels", [(), ("kind",)])
def test_timer_uses_the_override(registry: Registry, labels: tuple[str, ...]) -> None:
    """A block and a decorated coroutine are observed by the method of the class."""
    latency = Rounding("latency", "Latency.", labels, registry=registry)
    child: Any = latency.labels("mail") if labels else latency

    @child.time()
    async def work() -> None:
        """Do nothing."""

    with child.time():
        asyncio.run(work())
    assert registry.get_sample_value("latency_sum", dict.fromkeys(labels, "mail")) == 10


def test_labels_chosen_in_the_block(registry: Registry) -> None:
    """The child that a block chooses is observed by the method of the class."""
    with Rounding("latency", "Latency.", ["kind"], registry=registry).time() as timing:
        timing.labels("mail")
    assert registry.get_sample_value("latency_sum", {"kind": "mail"}) == 5


def test_gauge_timer_uses_the_override(registry: Registry) -> None:
    """`set_to_current_time`, which sets, uses the method of the class."""
    gauge = Clamped("last", "Last.", ["kind"], registry=registry)
    gauge.labels("mail").set_to_current_time()
    assert registry.get_sample_value("last", {"kind": "mail"}) == 10


@pytest.mark.parametrize("names", [(), ("kind",)])
def test_override_with_context_labels(registry: Registry, names: tuple[str, ...]) -> None:
    """The override is used, and the context labels are read at each use."""
    jobs: Any = Doubling("jobs_total", "Jobs.", names, context_labels=["tenant"], registry=registry)
    child = jobs.labels("mail") if names else jobs
    for tenant in ("a", "b"):
        with bound_labels(tenant=tenant):
            child.inc()
    own = dict.fromkeys(names, "mail")
    assert [registry.get_sample_value("jobs_total", {**own, "tenant": tenant}) for tenant in "ab"] == [2, 2]


def test_override_of_labels_itself(registry: Registry) -> None:
    """A class may override `labels`, and gets a child of the class from ``super()``."""

    class Lowering(Doubling):
        def labels(self, *values: object, **named: object) -> Any:
            return super().labels(*(str(value).lower() for value in values), **named)

    Lowering("jobs_total", "Jobs.", ["kind"], registry=registry).labels("MAIL").inc()
    assert registry.get_sample_value("jobs_total", {"kind": "mail"}) == 2


def test_removed_child_is_counted_anew(registry: Registry) -> None:
    """After ``remove``, ``labels()`` returns another child, and the old one is no longer exposed."""
    jobs = Doubling("jobs_total", "Jobs.", ["kind"], registry=registry)
    old = jobs.labels("mail")
    jobs.remove("mail")
    jobs.labels("mail").inc()
    old.inc(100)
    assert registry.get_sample_value("jobs_total", {"kind": "mail"}) == 2


def test_children_that_come_and_go_are_not_kept(registry: Registry) -> None:
    """A derived class refers to no more removed children than to present ones."""
    jobs = Doubling("jobs_total", "Jobs.", ["kind"], registry=registry)
    for index in range(2000):
        jobs.labels(index)
        jobs.remove(index)
    assert jobs._views is not None
    assert len(jobs._views._views) < 200


def test_override_through_shared_labels_in_threads(registry: Registry) -> None:
    """Threads that create the same children lose no count."""
    jobs = Doubling("jobs_total", "Jobs.", ["kind"], registry=registry)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda index: jobs.labels(index % 50).inc(), range(4000)))
    total = sum(sample.value for family in registry.collect() for sample in family.samples if "jobs" in sample.name)
    assert total == 8000


def test_child_refuses_what_only_the_metric_can(registry: Registry) -> None:
    """``labels``, ``remove`` and ``clear`` of a child raise `LabelError`."""
    child: Any = Doubling("jobs_total", "Jobs.", ["kind"], registry=registry).labels("mail")
    for call in (lambda: child.labels("other"), lambda: child.remove("mail"), child.clear):
        with pytest.raises(LabelError, match="labels are already set"):
            call()


@pytest.mark.parametrize("kind", [Counter, Doubling])
def test_replaced_method_is_called(registry: Registry, kind: type[Counter]) -> None:
    """A test may replace a method in the class, for metrics that exist already, and put it back."""
    jobs = kind("jobs_total", "Jobs.", registry=registry)
    with mock.patch.object(kind, "inc") as replaced:
        jobs.inc()
    replaced.assert_called_once_with()
    jobs.inc()
    assert registry.get_sample_value("jobs_total") == (2 if kind is Doubling else 1)


def test_replaced_method_is_called_of_children(registry: Registry) -> None:
    """The children of a derived class use the method of the class as well."""

    class Plain(Counter):
        """A derived class without any method."""

    jobs = Plain("jobs_total", "Jobs.", ["kind"], registry=registry)
    child = jobs.labels("mail")
    with mock.patch.object(Plain, "inc") as replaced:
        child.inc()
        jobs.labels("print").inc()
    assert replaced.call_count == 2
    child.inc()
    assert registry.get_sample_value("jobs_total", {"kind": "mail"}) == 1


def _make_metrics(registry: Registry) -> list[Any]:
    labelled = [kind(f"l_{kind.__name__.lower()}", "L.", ["kind"], registry=registry) for kind in _KINDS]
    metrics: list[Any] = [kind(kind.__name__.lower(), "M.", registry=registry) for kind in _KINDS]
    metrics += [Enum("enum", "E.", states=["a"], registry=registry), Doubling("d", "D.", ["kind"], registry=registry)]
    in_context = Counter("ctx", "C.", ["kind"], context_labels=["tenant"], registry=registry)
    return [*metrics, *labelled, *(metric.labels("a") for metric in (*labelled, metrics[-1], in_context))]


_KINDS: tuple[Callable[..., MetricBase[Any, Any, Any, Any, Any, Any, Any, Any]], ...] = (
    Counter,
    Gauge,
    Summary,
    Histogram,
    Info,
)


def test_copies_as_itself(registry: Registry) -> None:
    """A copy of an object that holds a metric or a child, deep or not, holds the same one: it counts the same."""
    for metric in _make_metrics(registry):
        assert copy.copy(metric) is metric
        assert copy.deepcopy({"metric": [metric]})["metric"][0] is metric


def test_pickling_is_refused_with_the_reason(registry: Registry) -> None:
    """A metric or child that is pickled would count in two processes: the error names it and says what to do."""
    for metric in _make_metrics(registry):
        with pytest.raises(TypeError, match=r"cannot be pickled: its numbers belong to this process; let the other"):
            pickle.dumps(metric)
