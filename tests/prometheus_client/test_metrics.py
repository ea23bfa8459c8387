"""Metrics of `asyncmetrics.prometheus_client`: what programs of prometheus_client use besides the public names."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import prometheus_client as theirs
import prometheus_client.core
import pytest

import asyncmetrics
from asyncmetrics import prometheus_client as ours
from asyncmetrics.prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary, metrics
from asyncmetrics.prometheus_client.metrics import MetricWrapperBase
from asyncmetrics.prometheus_client.registry import DuplicateTimeseries
from asyncmetrics.prometheus_client.samples import Sample
from asyncmetrics.prometheus_client.values import MutexValue


@pytest.fixture
def registry(library: Any) -> Any:
    """A fresh registry of the library."""
    return library.CollectorRegistry()


def test_private_views_of_a_child(library: Any, registry: Any) -> None:
    """The private attributes of a child that programs read."""
    child = library.Counter("jobs", "Jobs.", ["kind"], registry=registry).labels("mail")
    child.inc(3)
    assert (child._value.get(), child._labelvalues, child._labelnames) == (3, ("mail",), ("kind",))
    assert isinstance(child, library.Counter)


@pytest.mark.parametrize("labelnames", [(), ("node",)])
@pytest.mark.parametrize("text", ["0.600", " 5 ", "1e3", "-inf", b"7"])
def test_gauge_is_set_to_the_text_of_a_number(library: Any, registry: Any, labelnames: Any, text: Any) -> None:
    """By `set`, by the function of `set_function` and by `_value`."""
    gauge = library.Gauge("volts", "Volts.", labelnames, registry=registry)
    child = gauge.labels("1") if labelnames else gauge
    child.set(text)
    assert child._value.get() == float(text)
    child.set(0)
    child._value.set(text)
    assert float(registry.get_sample_value("volts", dict.fromkeys(labelnames, "1"))) == float(text)
    child.set_function(lambda: text)
    assert registry.get_sample_value("volts", dict.fromkeys(labelnames, "1")) == float(text)


def test_no_text_but_that_of_a_number(library: Any, registry: Any) -> None:
    """And nothing but `Gauge.set` takes one."""
    gauge = library.Gauge("volts", "Volts.", registry=registry)
    with pytest.raises(ValueError):  # noqa: PT011  # each library has its words
        gauge.set("five")
    counter, latency = (kind("n", "N.", registry=None) for kind in (library.Counter, library.Histogram))
    for call in (gauge.inc, gauge.dec, counter.inc, latency.observe):
        with pytest.raises(TypeError):
            call("5")
    assert gauge._value.get() == 0


def test_private_views_of_a_metric(library: Any, registry: Any) -> None:
    """The private attributes of a metric that programs read."""
    jobs = library.Counter("jobs_total", "Jobs.", ["kind"], "shop", "back", "", registry)
    jobs.labels("mail")
    assert (jobs._name, jobs._documentation, jobs._type, jobs._unit) == ("shop_back_jobs", "Jobs.", "counter", "")
    assert (jobs._original_name, jobs._namespace, jobs._subsystem) == ("jobs_total", "shop", "back")
    assert list(jobs._metrics) == [("mail",)]
    assert jobs._metrics["mail",] is jobs.labels("mail")
    assert (jobs._labelvalues, jobs._is_parent(), jobs._is_observable()) == ((), True, False) or library is theirs


def test_private_views_of_a_histogram(library: Any, registry: Any) -> None:
    """The buckets are not cumulative."""
    latency = library.Histogram("latency", "Latency.", buckets=(1, 2), registry=registry)
    latency.observe(1.5)
    latency.observe(0.5)
    assert [bucket.get() for bucket in latency._buckets] == [1, 1, 0]
    assert (latency._sum.get(), latency._upper_bounds) == (2, [1, 2, float("inf")])


def test_private_views_of_the_other_kinds(library: Any, registry: Any) -> None:
    """Gauges, summaries, enums."""
    gauge = library.Gauge("size", "Size.", registry=registry, multiprocess_mode="livesum")
    gauge.set(4)
    summary = library.Summary("sent", "Sent.", registry=registry)
    summary.observe(2)
    state = library.Enum("state", "State.", states=["a", "b"], registry=registry)
    state.state("b")
    assert (gauge._value.get(), gauge._multiprocess_mode) == (4, "livesum")
    assert (summary._count.get(), summary._sum.get()) == (1, 2)
    assert (state._value, list(state._states)) == (1, ["a", "b"])


def test_values_can_be_set_by_tests(library: Any, registry: Any) -> None:
    """Tests reset a counter or a gauge through its private value."""
    jobs = library.Counter("jobs", "Jobs.", registry=registry)
    jobs.inc(3)
    jobs._value.set(0)
    assert registry.get_sample_value("jobs_total") == 0


def test_private_views_of_a_registry(library: Any, registry: Any) -> None:
    """Programs find a metric by its name, and remove all collectors."""
    jobs = library.Counter("jobs", "Jobs.", registry=registry)
    assert registry._names_to_collectors["jobs_total"] is jobs
    assert set(registry._collector_to_names[jobs]) == {"jobs", "jobs_total", "jobs_created"}
    for collector in list(registry._collector_to_names.keys()):
        registry.unregister(collector)
    assert not registry._names_to_collectors


def test_words_that_programs_match_on(library: Any, registry: Any) -> None:
    """The errors have prometheus_client's words."""
    jobs = library.Counter("jobs", "Jobs.", ["kind"], registry=registry)
    words = {
        "Duplicated timeseries in CollectorRegistry: {'jobs": lambda: library.Counter("jobs", "J.", registry=registry),
        "counter metric is missing label values": jobs.inc,
        "Incorrect label count": jobs.labels,
        "Incorrect label names": lambda: jobs.labels(sort="mail"),
        "No label names were set when constructing": lambda: library.Gauge("g", "G.", registry=None).labels("a"),
        "Can't pass both": lambda: jobs.labels("a", kind="b"),
        "metric is missing label values": jobs.count_exceptions,
    }
    for text, call in words.items():
        with pytest.raises(ValueError, match="^.*" + text.replace("{", "[{]")):
            call()


def test_duplicates_have_prometheus_clients_class(library: Any, registry: Any) -> None:
    """A program may catch `DuplicateTimeseries`, and make one."""
    kind = prometheus_client.core.DuplicateTimeseries if library is theirs else DuplicateTimeseries
    library.Gauge("size", "Size.", registry=registry)
    with pytest.raises(kind) as caught:
        library.Gauge("size", "Size.", registry=registry)
    assert caught.value.duplicates == {"size"} == kind({"size"}).duplicates


def test_any_name_in_utf8(library: Any, registry: Any) -> None:
    """Names of metrics and labels need not be identifiers."""
    library.Counter("http.requests-per host", "R.", ["route-name"], registry=registry).labels("/").inc()
    text = library.generate_latest(registry, "allow-utf-8").decode()
    assert '{"http.requests-per host_total","route-name"="/"} 1.0' in text


def test_names_under_legacy_validation() -> None:
    """The switch of prometheus_client's validation is heeded."""
    from asyncmetrics.prometheus_client import validation

    validation.enable_legacy_validation()
    try:
        with pytest.raises(ValueError, match=r"invalid metric name a\.b"):
            Gauge("a.b", "A.", registry=None)
        with pytest.raises(ValueError, match=r"Invalid label metric name: a\.b"):
            Gauge("a", "A.", ["a.b"], registry=None)
    finally:
        validation.disable_legacy_validation()
    Gauge("a.b", "A.", registry=None)


def test_created_is_on(library: Any, registry: Any) -> None:
    """`_created` is exposed, also in the text format, until it is switched off."""
    library.Counter("jobs", "Jobs.", registry=registry)
    assert b"# TYPE jobs_created gauge" in library.generate_latest(registry)
    library.disable_created_metrics()
    try:
        assert b"created" not in library.generate_latest(registry)
    finally:
        library.enable_created_metrics()


def test_created_stays_off_in_asyncmetrics() -> None:
    """The switch of the drop-in is not that of the core: a metric of each, in one registry."""
    registry = CollectorRegistry()
    Counter("theirs", "T.", registry=registry)
    asyncmetrics.Counter("ours", "O.", registry=registry)
    names = {sample.name for family in registry.collect() for sample in family.samples}
    assert names == {"theirs_total", "theirs_created", "ours_total"}


def test_labelnames_and_documentation_of_any_kind(library: Any, registry: Any) -> None:
    """What tuple() takes is taken for label names."""
    library.Counter("jobs", "Jobs.", (name for name in ("a", "b")), registry=registry).labels("1", "2").inc()
    assert registry.get_sample_value("jobs_total", {"a": "1", "b": "2"}) == 1


def test_a_registry_of_another_class(library: Any) -> None:
    """Anything with ``register`` is a registry."""
    registered: list[Any] = []
    mine = type("Mine", (), {"register": lambda _, collector: registered.append(collector)})()
    jobs = library.Counter("jobs", "Jobs.", registry=mine)
    jobs.inc()
    assert registered == [jobs]
    assert next(iter(jobs.collect())).samples[0].value == 1


def test_copies(library: Any, registry: Any) -> None:
    """A metric of ours copies as itself; prometheus_client's cannot be copied."""
    jobs = library.Counter("jobs", "Jobs.", registry=registry)
    if library is ours:
        assert copy.deepcopy(jobs) is jobs


@pytest.mark.parametrize("labels", [[], ["kind"]])
def test_derived_class_with_samples_of_its_own(library: Any, registry: Any, labels: list[str]) -> None:
    """A class may override `_metric_init` and `_child_samples`, as prometheus-summary's does."""

    class Ranged(library.Summary):  # type: ignore[misc, name-defined]
        def _metric_init(self) -> None:
            super()._metric_init()
            self._largest = 0.0

        def observe(self, amount: float) -> None:
            super().observe(amount)
            self._largest = max(self._largest, amount)

        def _child_samples(self) -> Iterable[Any]:
            sample = Sample("", {"quantile": "1.0"}, self._largest, None, None)
            return [sample, *super()._child_samples()]

    sizes = Ranged("sizes", "Sizes.", labels, registry=registry)
    child = sizes.labels("mail") if labels else sizes
    child.observe(3)
    child.observe(2)
    own = dict.fromkeys(labels, "mail")
    assert registry.get_sample_value("sizes", {**own, "quantile": "1.0"}) == 3
    assert registry.get_sample_value("sizes_sum", own) == 5


class _Elsewhere(MutexValue):
    """A number in a "database"."""

    rows: dict[str, float] = {}

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key

    def inc(self, amount: float) -> None:
        self.rows[self._key] = self.get() + amount

    def set(self, value: float, timestamp: float | None = None) -> None:
        self.rows[self._key] = value

    def get(self) -> float:
        return self.rows.get(self._key, 0.0)


@pytest.mark.parametrize("labels", [[], ["kind"]])
def test_derived_class_with_numbers_of_its_own(library: Any, registry: Any, labels: list[str]) -> None:
    """A class may keep its numbers elsewhere, as prometheus-distributed-client's classes do."""
    _Elsewhere.rows = {}

    def init(self: Any) -> None:
        self._value = _Elsewhere(f"{self._name}{self._labelvalues}")
        self._created = 0.0

    def init_histogram(self: Any) -> None:
        self._sum, self._created = _Elsewhere(f"{self._name}_sum"), 0.0
        self._buckets = [_Elsewhere(f"{self._name}_{bound}") for bound in self._upper_bounds]

    jobs = type("Stored", (library.Counter,), {"_metric_init": init})("jobs", "Jobs.", labels, registry=registry)
    size = type("Stored", (library.Gauge,), {"_metric_init": init})("size", "Size.", labels, registry=registry)
    latency = type("Stored", (library.Histogram,), {"_metric_init": init_histogram})(
        "latency", "L.", labels, registry=registry, buckets=[1]
    )
    for metric, use in ((jobs, "inc"), (size, "dec"), (latency, "observe")):
        getattr(metric.labels("mail") if labels else metric, use)(2)
    assert sorted(_Elsewhere.rows.values()) == [-2, 1, 2, 2]
    own = dict.fromkeys(labels, "mail")
    assert registry.get_sample_value("jobs_total", own) == 2
    assert registry.get_sample_value("latency_bucket", {**own, "le": "+Inf"}) == 1


def test_every_kind_is_a_metric_wrapper() -> None:
    """`isinstance` with prometheus_client's base class holds for metrics and children."""
    for kind in (Counter, Gauge, Histogram, Info, Summary):
        metric = kind("m", "M.", ["a"], registry=None)
        assert isinstance(metric, MetricWrapperBase)
        assert isinstance(metric.labels("1"), MetricWrapperBase)
    assert isinstance(Enum("m", "M.", states=["a"], registry=None), MetricWrapperBase)


def test_private_samples(library: Any, registry: Any) -> None:
    """`_samples` yields suffixes instead of names."""
    library.disable_created_metrics()
    try:
        jobs = library.Counter("jobs", "Jobs.", ["kind"], registry=registry)
        jobs.labels("mail").inc()
        found: Iterator[Any] = iter(jobs._samples())
        assert [tuple(sample)[:3] for sample in found] == [("_total", {"kind": "mail"}, 1)]
    finally:
        library.enable_created_metrics()


def test_created_switch_is_a_variable() -> None:
    """Programs read and set the private variable of the module."""
    assert metrics._use_created is True


def test_children_can_be_removed_through_the_private_mapping(library: Any, registry: Any) -> None:
    """Tests clear ``_metrics``, or delete a child there."""
    jobs = library.Counter("jobs", "Jobs.", ["kind"], registry=registry)
    for kind in "abc":
        jobs.labels(kind).inc()
    del jobs._metrics["a",]
    assert jobs._metrics.pop(("b",))._value.get() == 1
    assert [registry.get_sample_value("jobs_total", {"kind": kind}) for kind in "abc"] == [None, None, 1]
    jobs._metrics.clear()
    assert registry.get_sample_value("jobs_total", {"kind": "c"}) is None


def test_a_refused_value_leaves_the_counter() -> None:
    """A counter that is set to a negative number keeps its own."""
    jobs = Counter("jobs", "Jobs.", registry=None)
    jobs.inc(5)
    with pytest.raises(ValueError, match="unchanged"):
        jobs._value.set(-1)
    assert jobs._value.get() == 5


def test_words_of_remove(library: Any, registry: Any) -> None:
    """`remove` has prometheus_client's words as well."""
    jobs = library.Counter("jobs", "Jobs.", ["a", "b"], registry=registry)
    with pytest.raises(ValueError, match="Incorrect label count"):
        jobs.remove("x")


def test_threads_share_the_values_of_a_derived_class() -> None:
    """Threads that create one child at the same time count in the same values."""

    def init(self: Any) -> None:
        time.sleep(0.01)  # so that all threads are here at once
        self._value = MutexValue()

    jobs = type("Stored", (Counter,), {"_metric_init": init})("jobs", "J.", ["k"], registry=None)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: jobs.labels("x").inc(), range(8)))
    assert jobs.labels("x")._value.get() == 8
