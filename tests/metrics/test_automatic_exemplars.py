"""Exemplars by themselves: when a metric asks its provider, what it keeps, and what a provider may do wrong."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
from math import inf, nan
from threading import Event, Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmetrics import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary
from asyncmetrics.errors import AmountError, DefinitionError
from asyncmetrics.storage import MemoryStorage, SharedStorage
from tests.forks import run_forked
from tests.metrics.exemplars import Provider, scrape
from tests.patience import PATIENCE_SECONDS
from tests.thoroughness import examples

STORAGES = {
    "memory": lambda path: MemoryStorage(locking=False),
    "memory with locks": lambda path: MemoryStorage(locking=True),
    "shared": lambda path: SharedStorage(path, locking=False),
    "shared with locks": lambda path: SharedStorage(path, locking=True),
}


@pytest.fixture(params=STORAGES)
def registry(request, tmp_path):
    return CollectorRegistry(storage=STORAGES[request.param](str(tmp_path / "m")))


@pytest.fixture
def provider():
    return Provider()


def test_a_counter_takes_one_exemplar_a_scrape(registry, provider):
    counter = Counter("c", "C.", registry=registry, exemplars=provider)
    counter.inc(2)
    counter.inc(3)
    assert scrape(registry) == {("c_total", ""): ({"n": "1"}, 2.0)}
    counter.inc(5)
    counter.inc()
    assert scrape(registry) == {("c_total", ""): ({"n": "2"}, 5.0)}
    assert registry.get_sample_value("c_total") == 11


def test_each_bucket_takes_one_exemplar_a_scrape(registry, provider):
    histogram = Histogram("h", "H.", buckets=[1, 2], registry=registry, exemplars=provider)
    for amount in (0.5, 0.75, 1.5, 1, 3):
        histogram.observe(amount)
    buckets = {"1.0": ({"n": "1"}, 0.5), "2.0": ({"n": "2"}, 1.5), "+Inf": ({"n": "3"}, 3.0)}
    assert scrape(registry) == {("h_bucket", bound): exemplar for bound, exemplar in buckets.items()}
    histogram.observe(1.25)
    assert scrape(registry)["h_bucket", "2.0"] == ({"n": "4"}, 1.25)
    assert (registry.get_sample_value("h_count"), registry.get_sample_value("h_sum")) == (6, 8)


def test_an_exemplar_stays_until_there_is_a_newer_one(registry, provider):
    Counter("c", "C.", registry=registry, exemplars=provider).inc()
    assert scrape(registry) == scrape(registry) == {("c_total", ""): ({"n": "1"}, 1.0)}


def test_an_exemplar_of_the_program_wins(registry, provider):
    counter = Counter("c", "C.", registry=registry, exemplars=provider)
    histogram = Histogram("h", "H.", buckets=[1], registry=registry, exemplars=provider)
    counter.inc(1, {"own": "1"})
    histogram.observe(1, {"own": "2"})
    assert provider.calls == 0
    assert scrape(registry) == {("c_total", ""): ({"own": "1"}, 1.0), ("h_bucket", "1.0"): ({"own": "2"}, 1.0)}


@pytest.mark.parametrize("kind", [Counter, Histogram])
def test_a_provider_without_an_answer_is_asked_after_longer_and_longer_waits(kind, registry, provider):
    metric = kind("m", "M.", registry=registry, exemplars=provider)
    provider.is_sampled = False
    use = metric.inc if kind is Counter else metric.observe
    asked = []
    for number in range(1, 300):
        before = provider.calls
        use(1)
        if provider.calls > before:
            asked.append(number)
    assert asked == [1, 2, 4, 8, 16, 32, 64, 128, 192, 256]


def test_waits_are_short_again_after_a_scrape_and_an_answer_ends_them(registry, provider):
    counter = Counter("c", "C.", registry=registry, exemplars=provider)
    provider.is_sampled = False
    for _ in range(64):  # the last of them asks, so that 63 more would be left
        counter.inc()
    scrape(registry)
    for _ in range(64):
        counter.inc()
    assert provider.calls == 8
    counter.inc()
    assert provider.calls == 9
    provider.is_sampled = True
    counter.inc()
    counter.inc()
    assert scrape(registry)["c_total", ""][0] == {"n": "10"}
    assert provider.calls == 10


def test_a_reset_counter_asks_again(registry, provider):
    counter = Counter("c", "C.", registry=registry, exemplars=provider)
    counter.inc()
    counter.reset()
    counter.inc()
    assert scrape(registry) == {("c_total", ""): ({"n": "2"}, 1.0)}


def test_an_amount_that_is_refused_or_dropped_asks_nothing(registry, provider):
    counter = Counter("c", "C.", registry=registry, exemplars=provider)
    with pytest.raises(AmountError):
        counter.inc(-1)
    with pytest.raises(AmountError):
        counter.inc(nan)
    Histogram("h", "H.", registry=registry, exemplars=provider).observe(nan)
    assert (provider.calls, registry.get_sample_value("c_total"), registry.get_sample_value("h_count")) == (0, 0, 0)


def fail():
    raise ValueError("no trace")


@pytest.mark.parametrize(
    "provider", [fail, lambda: {"bad name": "x", "": ""}, lambda: {"a": "x" * 128}, lambda: "text"]
)
def test_a_provider_that_fails_is_counted_and_logged_once_and_hurts_nobody(provider, registry, caplog):
    counter = Counter("c", "C.", registry=registry, exemplars=provider)
    histogram = Histogram("h", "H.", registry=registry, exemplars=provider)
    with caplog.at_level(logging.WARNING, "asyncmetrics"):
        for _ in range(4):
            counter.inc()
            histogram.observe(1)
    assert (registry.get_sample_value("c_total"), registry.get_sample_value("h_count")) == (4, 4)
    assert registry.get_sample_value("asyncmetrics_internal_errors_total", {"where": "exemplars"}) == 6
    assert scrape(registry) == {}
    (record,) = caplog.records
    assert record.getMessage().startswith("c_total has no exemplar: the function in exemplars= failed")
    assert record.exc_info is not None
    assert "the value is unchanged" not in str(record.exc_info[1])  # it was counted


def test_a_keyboard_interrupt_inside_a_provider_reaches_the_program(registry):
    def interrupt():
        raise KeyboardInterrupt

    counter = Counter("c", "C.", registry=registry, exemplars=interrupt)
    with pytest.raises(KeyboardInterrupt):
        counter.inc()


def test_a_provider_may_use_the_metric_that_asks_it(registry):
    def provide():
        histogram.observe(1)
        return {"n": "1"}

    histogram = Histogram("h", "H.", buckets=[1], registry=registry, exemplars=provide)
    histogram.observe(1)
    assert registry.get_sample_value("h_count") == 2


def test_a_provider_runs_without_the_lock_of_the_child(registry):
    is_asked, may_return, answers = Event(), Event(), []

    def provide():
        is_asked.set()
        answers.append(may_return.wait(PATIENCE_SECONDS))
        return {"n": "1"}

    child = Counter("c", "C.", ["a"], registry=registry, exemplars=provide).labels("x")
    thread = Thread(target=child.inc)
    thread.start()
    assert is_asked.wait(PATIENCE_SECONDS)
    child.inc(1, {"own": "1"})  # would wait for the lock of the child, if the other thread had it
    may_return.set()
    thread.join(PATIENCE_SECONDS)
    assert answers == [True]
    assert registry.get_sample_value("c_total", {"a": "x"}) == 2


def test_timers_ask_for_exemplars(registry, provider):
    histogram = Histogram("h", "H.", buckets=[60], registry=registry, exemplars=provider)
    with histogram.time():
        pass
    histogram.time()(lambda: None)()
    assert scrape(registry)["h_bucket", "60.0"][0] == {"n": "1"}
    histogram.time()(lambda: None)()
    assert scrape(registry)["h_bucket", "60.0"][0] == {"n": "2"}


@pytest.mark.parametrize("options", [{}, {"native": True}, {"native": True, "buckets": ()}])
@pytest.mark.parametrize("context_labels", [[], ["tenant"]])
@pytest.mark.parametrize("way", ["decorator", "block"])
def test_what_the_garbage_collector_closes_is_timed_and_asks_for_no_exemplar(
    way, context_labels, options, registry, provider
):
    histogram = Histogram("h", "H.", context_labels=context_labels, registry=registry, exemplars=provider, **options)

    @histogram.time()
    def produce():
        yield 1

    def produce_in_block():
        with histogram.time():
            yield 1

    abandoned = (produce if way == "decorator" else produce_in_block)()
    next(abandoned)
    del abandoned
    gc.collect()  # for an interpreter without reference counts
    labels = dict.fromkeys(context_labels, "")
    assert (registry.get_sample_value("h_count", labels), provider.calls) == (1, 0)
    with pytest.raises(ValueError), histogram.time():  # noqa: PT011
        raise ValueError
    assert (registry.get_sample_value("h_count", labels), provider.calls) == (2, 1)


def test_a_timer_that_is_closed_observes_by_the_method_of_a_derived_class(registry, provider):
    class Doubled(Histogram):
        def observe(self, amount):
            seen.append(amount)
            super().observe(2 * amount)

    seen = []

    @Doubled("h", "H.", registry=registry, exemplars=provider).time()
    def produce():
        yield 1

    abandoned = produce()
    next(abandoned)
    abandoned.close()
    assert len(seen) == registry.get_sample_value("h_count") == 1


def test_children_with_a_time_to_live_ask_for_exemplars(registry, provider):
    counter = Counter("c", "C.", ["a"], registry=registry, exemplars=provider, ttl=60)
    counter.labels("x").inc()
    assert scrape(registry) == {("c_total", ""): ({"n": "1"}, 1.0)}


def test_metrics_without_a_provider_have_the_children_of_before(registry):
    with_one = Counter("a", "A.", ["l"], registry=registry, exemplars=lambda: None).labels("x")
    without = Counter("b", "B.", ["l"], registry=registry).labels("x")
    assert type(without) in type(with_one).__mro__[1:]


def test_a_forked_worker_takes_exemplars_of_its_own(tmp_path):
    registry = CollectorRegistry(storage=SharedStorage(str(tmp_path / "m")))
    provider = Provider()
    counter = Counter("c", "C.", registry=registry, exemplars=provider)
    histogram = Histogram("h", "H.", buckets=[1], registry=registry, exemplars=provider)
    counter.inc()
    histogram.observe(1)

    def work():
        counter.inc()
        histogram.observe(1)
        assert scrape(registry) == {("c_total", ""): ({"n": "3"}, 1.0), ("h_bucket", "1.0"): ({"n": "4"}, 1.0)}

    run_forked(work)


CONVERTED = """
import os
from asyncmetrics import REGISTRY, Counter, Histogram

calls = []

def provide():
    calls.append(1)
    return {"n": str(len(calls))}

counter = Counter("c", "C.", ["l"], exemplars=provide).labels("x")
histogram = Histogram("h", "H.", ["l"], buckets=[60], exemplars=provide).labels("x")
record = histogram.recorder()
counter.inc()
record(1.0)
if not (pid := os.fork()):
    counter.inc()
    os._exit(0)
os.waitpid(pid, 0)
REGISTRY.get_sample_value("c_total")
print(type(counter).__name__, type(histogram).__name__)
for _ in range(2):
    counter.inc()
    record(1.0)
    histogram.observe(1)
    samples = [sample for family in REGISTRY.collect() for sample in family.samples if sample.exemplar]
    print([(sample.name, sample.value, sample.exemplar.labels["n"]) for sample in samples])
"""


def test_children_from_before_a_process_shared_its_metrics_go_on_asking():
    environment = {name: text for name, text in os.environ.items() if name != "ASYNCMETRICS_DIR"}
    ended = subprocess.run(
        [sys.executable, "-c", CONVERTED], env=environment, capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines() == [
        "StandInMemoryAskingCounter StandInMemoryAskingHistogram",
        "[('c_total', 3.0, '3'), ('h_bucket', 3.0, '4')]",
        "[('c_total', 4.0, '5'), ('h_bucket', 5.0, '6')]",
    ]


async def provide_later():
    """Return labels that nothing awaits."""


@pytest.mark.parametrize("source", [5, "span", [], {}, provide_later])
@pytest.mark.parametrize("kind", [Counter, Histogram])
def test_a_source_that_is_none_is_refused_with_those_that_there_are(kind, source):
    registry = CollectorRegistry()
    with pytest.raises(DefinitionError, match=r"^m\w*: expected exemplars= to be one of 'trace', 'traceparent', or a "):
        kind("m", "M.", registry=registry, exemplars=source)
    assert [*registry.collect()] == []


@pytest.mark.parametrize("kind", [Gauge, Summary, Info, Enum])
def test_other_kinds_have_no_exemplars(kind):
    with pytest.raises(TypeError, match="exemplars"):
        kind("m", "M.", registry=None, exemplars="trace")


@settings(max_examples=examples(30))
@given(
    amounts=st.lists(st.one_of(st.floats(-5, 5), st.integers(0, 5), st.just(inf), st.none())),
    answers=st.lists(st.booleans(), min_size=1),
    native=st.sampled_from([8, 0, -2]),
    buckets=st.sampled_from([(), (0.5, 1)]),
)
@pytest.mark.parametrize("locking", [False, True])
def test_native_histograms_are_those_of_metrics_that_do_not_ask(locking, amounts, answers, native, buckets):
    registry = CollectorRegistry(storage=MemoryStorage(locking=locking))
    calls = iter(answers * (len(amounts) + 1))
    options = {"native": native, "max_buckets": 6, "buckets": buckets, "registry": registry}
    asking = Histogram("a", "A.", exemplars=lambda: {"n": "1"} if next(calls) else None, **options)
    plain = Histogram("b", "B.", **options)
    for amount in amounts:
        if amount is None:
            scrape(registry)
        else:
            asking.observe(amount)
            plain.observe(amount)
    one, other = [
        [(s.value, s.native_histogram and s.native_histogram._replace(nh_exemplars=None)) for s in family.samples]
        for family in registry.collect()
        if family.name in {"a", "b"}
    ]
    assert one == other


@settings(max_examples=examples(30))
@given(
    amounts=st.lists(st.one_of(st.floats(0, 5), st.integers(0, 5), st.none())),
    answers=st.lists(st.booleans(), min_size=1),
)
@pytest.mark.parametrize("locking", [False, True])
def test_numbers_are_those_of_metrics_that_do_not_ask(locking, amounts, answers):
    registry = CollectorRegistry(storage=MemoryStorage(locking=locking))
    calls = iter(answers * (len(amounts) + 1))
    asking = Histogram("a", "A.", registry=registry, exemplars=lambda: {"n": "1"} if next(calls) else None)
    plain = Histogram("b", "B.", registry=registry)
    for amount in amounts:
        if amount is None:
            scrape(registry)
        else:
            asking.observe(amount)
            plain.observe(amount)
    numbers = [[s.value for s in family.samples] for family in registry.collect() if family.name in {"a", "b"}]
    assert numbers[0] == numbers[1]


REGISTERED = """
from asyncmetrics import CollectorRegistry, Counter
from asyncmetrics.context.exemplars import register_provider

register_provider("datadog", lambda: {"trace_id": "7"})
registry = CollectorRegistry()
Counter("jobs", "Jobs.", registry=registry, exemplars="datadog").inc()
(family,) = (family for family in registry.collect() if family.name == "jobs")
print(family.samples[0].exemplar.labels)
"""


def test_a_provider_has_the_name_that_it_is_registered_under():
    """In a process of its own, because the names are those of the whole process."""
    done = subprocess.run([sys.executable, "-c", REGISTERED], capture_output=True, text=True, check=True)
    assert done.stdout == "{'trace_id': '7'}\n"
