"""Registering, collecting, and keeping one collector's fault from the others."""

from __future__ import annotations

import asyncio
import logging

import anyio
import pytest

from asyncmetrics import REGISTRY, CollectorRegistry, Counter, Gauge, Metric
from asyncmetrics.core import CounterMetricFamily, GaugeMetricFamily
from asyncmetrics.errors import CollectorError, DefinitionError, DuplicateMetricError, UnknownCollectorError


class Yielding:
    def __init__(self, *families):
        self.families = families

    def collect(self):
        yield from self.families


class Async:
    async def collect(self):
        await anyio.sleep(0)
        return [GaugeMetricFamily("later", "L.", 1)]


class AsyncYielding:
    async def collect(self):
        await anyio.sleep(0)
        yield GaugeMetricFamily("later", "L.", 1)


class Failing:
    def collect(self):
        yield GaugeMetricFamily("first", "F.", 1)
        raise ValueError("secret")


def names(families):
    return [family.name for family in families]


def test_families_come_in_the_order_of_their_registration(registry):
    Gauge("b", "B.", registry=registry)
    registry.register(Yielding(GaugeMetricFamily("a", "A.", 1)))
    Gauge("c", "C.", registry=registry)
    assert names(registry.collect()) == ["b", "a", "c"]


@pytest.mark.parametrize("collector", [Async, AsyncYielding])
def test_an_async_collector_is_collected_by_a_sync_caller(collector, registry):
    registry.register(collector())
    assert registry.get_sample_value("later") == 1


@pytest.mark.parametrize("collector", [Async, AsyncYielding])
@pytest.mark.blocking
async def test_an_async_collector_without_a_loop_is_collected_by_a_sync_caller_inside_a_loop(collector, registry):
    registry.register(collector(), loop=None)
    assert registry.get_sample_value("later") == 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("collector", [Async, AsyncYielding])
def test_an_async_collector_is_awaited_by_an_async_caller(collector, backend, registry):
    registry.register(collector())
    assert names(anyio.run(registry.collect_async, backend=backend)) == ["later"]


@pytest.mark.parametrize("f", [lambda: 7, lambda: asyncio.sleep(0, 7)])
def test_a_gauge_function_is_called_at_every_collection(f, registry):
    Gauge("g", "G.", registry=registry).set_function(f)
    assert registry.get_sample_value("g") == 7


@pytest.mark.parametrize("f", [lambda: 1 / 0, lambda: "x", lambda: _fail()])
def test_a_gauge_function_that_fails_leaves_its_series_out_and_is_counted(f, registry):
    gauge = Gauge("g", "G.", ["x"], registry=registry)
    gauge.labels("bad").set_function(f)
    gauge.labels("good").set(1)
    assert registry.get_sample_value("g", {"x": "bad"}) is None
    assert registry.get_sample_value("g", {"x": "good"}) == 1
    assert registry.get_sample_value("asyncmetrics_collector_errors_total", {"collector": "g"}) >= 1


async def _fail():
    raise ValueError


def test_a_gauge_function_of_a_removed_child_is_called_no_more(registry):
    calls = []
    gauge = Gauge("g", "G.", ["x"], registry=registry)
    gauge.labels("a").set_function(lambda: calls.append(1) or 1)
    gauge.remove("a")
    list(registry.collect())
    assert calls == []


def test_a_collector_that_raises_is_left_out_counted_and_logged_once(registry, caplog):
    registry.register(Failing())
    Gauge("other", "O.", registry=registry).set(1)
    with caplog.at_level(logging.WARNING, "asyncmetrics"):
        assert registry.get_sample_value("other") == 1
        list(registry.collect())
    assert registry.get_sample_value("asyncmetrics_collector_errors_total", {"collector": "Failing"}) == 3
    assert [record.exc_info[0] for record in caplog.records] == [ValueError]


async def test_a_collector_that_raises_fails_the_collection_where_that_is_asked_for(registry):
    registry.register(Failing())
    with pytest.raises(CollectorError, match="Failing: secret"):
        await registry.collect_async(on_error="fail")


async def test_an_unknown_way_with_errors_is_refused(registry):
    with pytest.raises(DefinitionError, match="on_error"):
        await registry.collect_async(on_error="ignore")


@pytest.mark.parametrize("nonsense", [None, 5, "text", object(), [None], ["x"]])
def test_a_collector_that_yields_nonsense_is_counted_and_costs_no_other(nonsense, registry):
    class Nonsense:
        def collect(self):
            return nonsense

    registry.register(Nonsense())
    Gauge("other", "O.", registry=registry).set(1)
    assert registry.get_sample_value("other") == 1
    assert registry.get_sample_value("asyncmetrics_collector_errors_total", {"collector": "Nonsense"}) >= 1


def test_families_of_one_name_and_type_are_merged(registry):
    for number in (1, 2, 2):
        family = CounterMetricFamily("c", "C.", labels=["n"])
        family.add_metric([str(number)], number)
        registry.register(Yielding(family))
    (merged,) = registry.collect()
    assert [(s.labels["n"], s.value) for s in merged.samples] == [("1", 1), ("2", 2)]


def test_the_sample_that_came_first_stays(registry):
    registry.register(Yielding(GaugeMetricFamily("g", "G.", 1)))
    registry.register(Yielding(GaugeMetricFamily("g", "G.", 2)))
    assert [family.samples for family in registry.collect()] == [[("g", {}, 1, None, None, None)]]


@pytest.mark.parametrize(
    "second",
    [
        GaugeMetricFamily("c", "G.", 1),
        GaugeMetricFamily("c_total", "G.", 1),
        GaugeMetricFamily("c.total", "G.", 1),
    ],
)
def test_a_family_that_clashes_is_left_out_and_counted(second, registry):
    registry.register(Yielding(CounterMetricFamily("c", "C.", 1), second))
    assert names(registry.collect()) == ["c", "asyncmetrics_collector_errors"]


@pytest.mark.parametrize(("first", "second"), [("a.b", "a_b"), ("x_total", "x"), ("a", "a")])
def test_names_that_an_escaping_makes_equal_are_refused(first, second, registry):
    Gauge(first, "G.", registry=registry)
    with pytest.raises(DuplicateMetricError):
        Counter(second, "C.", registry=registry)


def test_a_refused_collector_leaves_no_name_behind(registry):
    Gauge("b", "B.", registry=registry)

    class Two:
        def describe(self):
            return [Metric("a", "A.", "gauge"), Metric("b", "B.", "gauge")]

        def collect(self):
            return []

    with pytest.raises(DuplicateMetricError) as caught:
        registry.register(Two())
    assert caught.value.duplicates == {"b"}
    Gauge("a", "A.", registry=registry)


def test_a_refused_collector_leaves_the_names_of_others_taken(registry):
    """A third collector of the same name is refused like the second one."""
    Counter("taken", "T.", registry=registry)
    for _ in range(2):
        with pytest.raises(DuplicateMetricError, match="taken"):
            Counter("taken", "T.", registry=registry)


def test_names_are_free_again_after_unregistering(registry):
    gauge = Gauge("g", "G.", registry=registry)
    registry.unregister(gauge)
    assert list(registry.collect()) == []
    Gauge("g", "G.", registry=registry)


def test_unregistering_what_is_not_registered_is_a_key_error(registry):
    with pytest.raises(UnknownCollectorError, match="not registered") as caught:
        registry.unregister(Async())
    assert isinstance(caught.value, KeyError)


def test_registering_twice_is_refused(registry):
    collector = Yielding()
    registry.register(collector)
    with pytest.raises(DuplicateMetricError):
        registry.register(collector)


@pytest.mark.parametrize("auto_describe", [True, False])
@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize("describes", [True, False])
async def test_registering_does_not_collect(auto_describe, is_async, describes):
    """Neither here nor on another loop; a collector may so register itself while its connections are being made."""
    calls = []

    class Sync:
        def collect(self):
            calls.append(1)
            return []

    class Later:
        async def collect(self):
            calls.append(1)
            return []

    collector = Later() if is_async else Sync()
    if describes:
        collector.describe = lambda: [Metric("g", "G.", "gauge")]
    CollectorRegistry(auto_describe=auto_describe).register(collector)
    assert calls == []


def test_a_name_that_is_known_only_at_a_collection_is_not_exposed_twice():
    registry = CollectorRegistry(auto_describe=True)
    registry.register(Yielding(GaugeMetricFamily("g", "G.", 1)))
    Counter("g", "G.", registry=registry)
    assert names(registry.collect()) == ["g", "asyncmetrics_collector_errors"]


def test_a_restricted_registry_of_the_default_kind_asks_collectors_whose_names_are_unknown():
    """As it does for a scrape with ``?name[]=``."""
    registry = CollectorRegistry(auto_describe=True)
    registry.register(Yielding(GaugeMetricFamily("nameless", "N.", 1), GaugeMetricFamily("other", "O.", 1)))
    assert names(registry.restricted_registry(["nameless"]).collect()) == ["nameless"]


@pytest.mark.parametrize("wrong", [5, None, list, Yielding])
def test_what_is_no_collector_is_refused_at_registration(wrong, registry):
    with pytest.raises(TypeError, match=r"register\(\): expected a collector"):
        registry.register(wrong)


def test_an_async_describe_is_refused_at_registration(registry):
    class Described(Yielding):
        async def describe(self):
            return []

    with pytest.raises(TypeError, match=r"Described\.describe\(\)"):
        registry.register(Described())


def test_target_info_comes_first_and_can_be_taken_away(registry):
    Gauge("a", "A.", registry=registry)
    registry.set_target_info({"env": "test"})
    assert names(registry.collect()) == ["target", "a"]
    assert registry.get_sample_value("target_info", {"env": "test"}) == 1
    assert registry.get_target_info() == {"env": "test"}
    registry.set_target_info(None)
    assert names(registry.collect()) == ["a"]


def test_target_info_is_refused_where_the_name_is_taken(registry):
    Gauge("target_info", "T.", registry=registry)
    with pytest.raises(DuplicateMetricError):
        registry.set_target_info({"env": "test"})


@pytest.fixture
def three(registry):
    Counter("c", "C.", registry=registry)
    Gauge("g", "G.", registry=registry)
    registry.register(Yielding(GaugeMetricFamily("nameless", "N.", 1)))
    return registry


@pytest.mark.parametrize(
    ("asked", "found"),
    [(["c_total"], ["c"]), (["c"], ["c"]), (["g", "c_total"], ["c", "g"]), (["c_created"], []), (["x"], []), ([], [])],
)
def test_a_restricted_registry_has_what_was_asked_for(asked, found, three):
    assert names(three.restricted_registry(asked).collect()) == found


async def test_a_restricted_registry_is_collected_asynchronously(three):
    assert names(await three.restricted_registry(["g"]).collect_async()) == ["g"]


def test_collectors_without_names_are_kept_in_restricted_registries_on_request():
    registry = CollectorRegistry(support_collectors_without_names=True)
    registry.register(Yielding(GaugeMetricFamily("nameless", "N.", 1)))
    assert names(registry.restricted_registry(["nameless"]).collect()) == ["nameless"]


def test_the_default_registry_has_the_default_collectors():
    assert {"process_cpu_seconds", "python_info", "python_gc_collections"} <= set(names(REGISTRY.collect()))
