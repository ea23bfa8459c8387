"""What metrics do differently on purpose, as docs/migrating.md lists it: each row on both libraries."""

from __future__ import annotations

import asyncio
import copy
from math import inf, nan

import pytest

from asyncmetrics.errors import MetricsError
from tests.compatibility.libraries import both, declare, part


@pytest.mark.difference("finite-increments")
@pytest.mark.parametrize("amount", [nan, inf])
def test_an_increment_that_a_counter_cannot_undo(amount):
    def count(library):
        registry, counter = declare(library, "Counter")
        counter.inc(amount)
        return registry.get_sample_value("m_total")

    theirs, ours = both(count)
    assert not theirs < inf
    assert isinstance(ours, ValueError)


@pytest.mark.difference("nan-observations")
@pytest.mark.parametrize("kind", ["Summary", "Histogram"])
def test_a_sum_that_is_nan_for_ever(kind):
    def observe(library):
        registry, metric = declare(library, kind)
        metric.observe(nan)
        metric.observe(1)
        return registry.get_sample_value("m_sum")

    theirs, ours = both(observe)
    assert theirs != theirs
    assert ours == 1


@pytest.mark.difference("exemplar-names")
def test_an_exemplar_with_a_name_that_openmetrics_does_not_allow():
    theirs, ours = both(lambda library: declare(library, "Counter")[1].inc(exemplar={"trace id": "1"}))
    assert theirs is None
    assert isinstance(ours, ValueError)


@pytest.mark.difference("refused-exemplars")
@pytest.mark.parametrize(
    ("kind", "use", "sample"), [("Counter", "inc", "m_total"), ("Histogram", "observe", "m_count")]
)
def test_what_is_counted_before_an_exemplar_is_refused(kind, use, sample):
    def count(library):
        registry, metric = declare(library, kind)
        with pytest.raises(ValueError):
            getattr(metric, use)(1, exemplar={"trace_id": "x" * 129})
        return registry.get_sample_value(sample)

    assert both(count) == (1, 0)


@pytest.mark.difference("measured-calls")
def test_the_time_of_a_coroutine():
    def measure(library):
        registry, histogram = declare(library, "Histogram")

        @histogram.time()
        async def work():
            return registry.get_sample_value("m_count")

        return asyncio.run(work())

    assert both(measure) == (1, 0)


@pytest.mark.difference("measured-calls")
def test_the_exception_of_a_coroutine():
    def count(library):
        registry, counter = declare(library, "Counter")

        @counter.count_exceptions()
        async def fail():
            raise LookupError

        with pytest.raises(LookupError):
            asyncio.run(fail())
        return registry.get_sample_value("m_total")

    assert both(count) == (0, 1)


@pytest.mark.difference("measured-calls")
def test_the_progress_of_a_generator():
    def measure(library):
        registry, gauge = declare(library, "Gauge")

        @gauge.track_inprogress()
        def work():
            yield registry.get_sample_value("m")

        return next(work())

    assert both(measure) == (0, 1)


@pytest.mark.difference("cancellation")
@pytest.mark.parametrize(
    ("kind", "counts"), [(BaseException, (1, 0)), (asyncio.CancelledError, (1, 1))], ids=["any", "named"]
)
def test_a_cancellation_is_counted_only_by_its_name(kind, counts):
    def count(library):
        registry, counter = declare(library, "Counter")
        with pytest.raises(asyncio.CancelledError), counter.count_exceptions(kind):
            raise asyncio.CancelledError
        return registry.get_sample_value("m_total")

    assert both(count) == counts


@pytest.mark.difference("max-children")
def test_label_sets_without_end():
    def fill(library):
        registry, gauge = declare(library, "Gauge", ["x"])
        for number in range(100_010):
            gauge.labels(number)
        return len(next(iter(registry.collect())).samples)

    assert both(fill) == (100_010, 100_001)


@pytest.mark.difference("failing-functions")
def test_a_function_of_a_gauge_that_fails():
    def render(library):
        registry, gauge = declare(library, "Gauge")
        gauge.set_function({}.popitem)
        library.Gauge("other", "O.", registry=registry)
        return library.generate_latest(registry)

    theirs, ours = both(render)
    assert isinstance(theirs, KeyError)
    assert b"\nother 0.0\n" in ours
    assert b"\nm " not in ours


@pytest.mark.difference("mostrecent-inc")
def test_a_most_recent_gauge_that_is_increased():
    def increase(library):
        registry, gauge = declare(library, "Gauge", multiprocess_mode="mostrecent")
        gauge.inc(2)
        return registry.get_sample_value("m")

    theirs, ours = both(increase)
    assert isinstance(theirs, RuntimeError)
    assert ours == 2


@pytest.mark.difference("lone-surrogates")
def test_a_label_value_that_utf_8_cannot_encode():
    def render(library):
        registry, counter = declare(library, "Counter", ["x"])
        counter.labels("\ud800").inc()
        return library.generate_latest(registry)

    theirs, ours = both(render)
    assert isinstance(theirs, UnicodeEncodeError)
    assert 'm_total{x="\ufffd"} 1.0' in ours.decode()


@pytest.mark.difference("info-label-names")
def test_a_fact_with_a_name_that_is_no_label():
    theirs, ours = both(lambda library: declare(library, "Info")[1].info({"a b": "1"}))
    assert theirs is None
    assert isinstance(ours, ValueError)


@pytest.mark.difference("enum-colons")
def test_an_enum_with_a_colon_in_its_name():
    theirs, ours = both(lambda library: library.Enum("a:b", "A.", states=["on"], registry=None))
    assert not isinstance(theirs, Exception)
    assert isinstance(ours, ValueError)


@pytest.mark.difference("printable-names")
@pytest.mark.parametrize("name", ["a\nb", "a\xa0b"])
def test_a_name_that_cannot_be_printed(name):
    def render(library):
        registry = library.CollectorRegistry()
        library.Gauge(name, "M.", registry=registry)
        return library.generate_latest(registry)

    theirs, ours = both(render)
    assert b"\na_b 0.0\n" in theirs
    assert isinstance(ours, ValueError)


@pytest.mark.difference("equal-names")
@pytest.mark.parametrize(
    ("kind", "options"),
    [("Gauge", {"labelnames": ["x", "x"]}), ("Enum", {"states": ["on", "on"]}), ("Histogram", {"buckets": [1, 1]})],
)
def test_the_same_name_twice_in_a_declaration(kind, options):
    """Each of these gives one series two lines."""
    theirs, ours = both(lambda library: declare(library, kind, **options))
    assert not isinstance(theirs, Exception)
    assert isinstance(ours, ValueError)


@pytest.mark.difference("copies")
def test_copies_of_metrics():
    def copy_metric(library):
        _, counter = declare(library, "Counter")
        return copy.copy(counter) is counter

    def copy_deeply(library):
        _, counter = declare(library, "Counter")
        return copy.deepcopy([counter])[0] is counter

    assert both(copy_metric) == (False, True)
    theirs, ours = both(copy_deeply)
    assert isinstance(theirs, TypeError)
    assert ours is True


@pytest.mark.difference("error-classes")
@pytest.mark.parametrize(
    "call",
    [
        lambda library: declare(library, "Counter")[1].inc(-1),
        lambda library: declare(library, "Counter", ["x"])[1].labels("1", "2"),
        lambda library: declare(library, "Counter", ["x"])[1].inc(),
        lambda library: declare(library, "Gauge", multiprocess_mode="mean"),
        lambda library: declare(library, "Enum", states=["on"])[1].state("off"),
        lambda library: declare(library, "Histogram", buckets=[2, 1]),
        lambda library: part(library, "core").Metric("m", "M.", "number"),
        lambda library: part(library, "core").GaugeMetricFamily("m", "M.", value=1, labels=["x"]),
    ],
)
def test_an_error_is_of_a_class_of_its_own_and_of_theirs(call):
    theirs, ours = both(call)
    assert isinstance(ours, type(theirs))
    assert isinstance(ours, MetricsError)
    assert not isinstance(theirs, MetricsError)


@pytest.mark.difference("error-classes")
def test_the_error_of_a_counter_says_what_to_do():
    theirs, ours = both(lambda library: declare(library, "Counter")[1].inc(-1))
    assert "m_total" not in str(theirs)
    assert str(ours).startswith("m_total: expected")
