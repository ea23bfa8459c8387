"""A scrape of one worker has the numbers of all: what is added up, and what stays apart."""

from __future__ import annotations

import os
import signal
import time

import anyio
import pytest

from asyncmetrics import (
    CallMetrics,
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    generate_latest,
)
from asyncmetrics.middleware import MetricsMiddleware
from tests.forks import run_forked
from tests.patience import PATIENCE_SECONDS, eventually
from tests.storage.readings import read_lines


def test_counters_are_added_up_over_workers(worker):
    one, two = worker(), worker()
    for registry, amount in ((one, 1), (two, 10)):
        Counter("c", "C.", ["n"], registry=registry).labels("x").inc(amount)
    assert [r.get_sample_value("c_total", {"n": "x"}) for r in (one, two)] == [11, 11]


def test_label_sets_that_only_another_worker_has_are_exposed(worker):
    one, two = worker(), worker()
    Counter("c", "C.", ["n"], registry=one)
    Counter("c", "C.", ["n"], registry=two).labels("theirs").inc()
    assert read_lines(one, "c_total") == ['c_total{n="theirs"} 1.0']


def test_families_that_only_another_worker_has_are_exposed(worker):
    one, two = worker(), worker()
    Counter("late", "Made in a handler.", ["n"], registry=two).labels("x").inc(3)
    assert one.get_sample_value("late_total", {"n": "x"}) == 3


def test_histograms_and_summaries_are_added_up(worker):
    one, two = worker(), worker()
    for registry, amount in ((one, 0.5), (two, 5)):
        Histogram("h", "H.", buckets=[1, 10], registry=registry).observe(amount)
        Summary("s", "S.", registry=registry).observe(amount)
    value = one.get_sample_value
    buckets = [value("h_bucket", {"le": le}) for le in ("1.0", "10.0", "+Inf")]
    assert [*buckets, value("h_count"), value("h_sum")] == [1, 2, 2, 2, 5.5]
    assert [value("s_count"), value("s_sum")] == [2, 5.5]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("min", 3), ("max", 7), ("sum", 10), ("mostrecent", 3), ("livemin", 3), ("livemax", 7), ("livesum", 10)],
)
def test_a_gauge_is_merged_by_its_mode(worker, mode, expected):
    one, two = worker(), worker()
    gauges = [Gauge("g", "G.", multiprocess_mode=mode, registry=registry) for registry in (one, two)]
    gauges[1].set(7)
    time.sleep(0.001)
    gauges[0].set(3)
    assert two.get_sample_value("g") == expected


@pytest.mark.parametrize("mode", ["all", "liveall"])
def test_a_gauge_of_all_workers_has_a_label_for_the_worker(worker, mode):
    one, two = worker(), worker()
    for number, registry in enumerate((one, two)):
        Gauge("g", "G.", ["n"], multiprocess_mode=mode, registry=registry).labels("x").set(number + 5)
    assert read_lines(one, "g{") == ['g{n="x",worker="0"} 5.0', 'g{n="x",worker="1"} 6.0']


def test_a_gauge_that_has_a_label_called_worker_gets_another(worker):
    registry = worker()
    Gauge("g", "G.", ["worker"], registry=registry).labels("bee").set(1)
    assert read_lines(registry, "g{") == ['g{worker="bee",worker_slot="0"} 1.0']


def test_counters_per_worker_have_a_label_for_the_worker(worker):
    one, two = worker(), worker()
    for number, registry in enumerate((one, two)):
        made = Counter("c", "C.", ["n"], per_worker=True, registry=registry)
        made.labels("both").inc(number + 5)
        made.labels(f"own {number}").inc()
    expected = [
        'c_total{n="both",worker="0"} 5.0',
        'c_total{n="own 0",worker="0"} 1.0',
        'c_total{n="both",worker="1"} 6.0',
        'c_total{n="own 1",worker="1"} 1.0',
    ]
    assert read_lines(one, "c_total") == read_lines(two, "c_total") == expected


def test_an_empty_label_is_left_out_beside_the_label_of_the_worker(worker):
    registry = worker()
    made = Counter("c", "C.", ["n", "z"], per_worker=True, omit_empty=True, registry=registry)
    made.labels("", "").inc(1)
    made.labels("", "2").inc(2)
    made.labels("1", "").inc(3)
    assert sorted(read_lines(worker(), "c_total")) == [
        'c_total{n="1",worker="0"} 3.0',
        'c_total{worker="0",z="2"} 2.0',
        'c_total{worker="0"} 1.0',
    ]


def test_histograms_and_summaries_per_worker_are_not_added_up(worker):
    one, two = worker(), worker()
    for registry, amount in ((one, 0.5), (two, 5)):
        Histogram("h", "H.", buckets=[1], per_worker=True, registry=registry).observe(amount)
        Summary("s", "S.", per_worker=True, registry=registry).observe(amount)
    assert read_lines(two, "h_bucket") == [
        'h_bucket{le="1.0",worker="0"} 1.0',
        'h_bucket{le="+Inf",worker="0"} 1.0',
        'h_bucket{le="1.0",worker="1"} 0.0',
        'h_bucket{le="+Inf",worker="1"} 1.0',
    ]
    assert read_lines(two, "s_sum") == ['s_sum{worker="0"} 0.5', 's_sum{worker="1"} 5.0']
    assert two.get_sample_value("h_count", {"worker": "1"}) == 1


def test_a_counter_per_worker_that_has_a_label_called_worker_gets_another(worker):
    registry = worker()
    Counter("c", "C.", ["worker"], per_worker=True, registry=registry).labels("bee").inc()
    assert read_lines(registry, "c_total") == ['c_total{worker="bee",worker_slot="0"} 1.0']


def test_a_dead_workers_counts_stay_under_its_label_and_go_on_there(worker):
    registry = worker()
    Counter("other", "O.", registry=registry)

    def work() -> None:
        Counter("c", "C.", per_worker=True, registry=worker()).inc()

    for times in (1, 2):
        run_forked(work)
        assert read_lines(registry, "c_total") == [f'c_total{{worker="1"}} {times}.0']


def test_exemplars_with_other_labels_per_worker_are_those_of_the_worker_that_answers(worker):
    one, two = worker(), worker()
    for registry in (one, two):
        Counter("c", "C.", per_worker=True, registry=registry).inc(exemplar={"trace": "1"})
        Histogram("h", "H.", buckets=[1], per_worker=True, registry=registry).observe(0.5, {"trace": "1"})
    found = {(s.name, s.labels["worker"]) for f in two.collect() for s in f.samples if s.exemplar}
    assert found == {("c_total", "1"), ("h_bucket", "1")}


def test_a_metric_per_worker_and_one_that_is_added_up_are_a_conflict(worker):
    one, two = worker(), worker()
    Counter("c", "C.", registry=one).inc()
    Counter("c", "C.", per_worker=True, registry=two).inc()
    for registry in (one, two):
        assert read_lines(registry, "c_total") == ['c_total{worker="1"} 1.0']
        assert read_lines(registry, "asyncmetrics_worker_conf") == ["asyncmetrics_worker_conflicting_families 1.0"]


def test_without_shared_storage_there_is_no_label_for_the_worker():
    registry = CollectorRegistry()
    Counter("c", "C.", per_worker=True, registry=registry).inc()
    assert read_lines(registry, "c_total") == ["c_total 1.0"]


def test_each_fact_of_an_info_is_exposed_once(worker):
    one, two, three = worker(), worker(), worker()
    for registry, version in ((one, "1"), (two, "2"), (three, "2")):
        Info("build", "B.", registry=registry).info({"version": version})
    assert sorted(read_lines(one, "build_info")) == ['build_info{version="1"} 1.0', 'build_info{version="2"} 1.0']


def test_facts_that_are_stale_leave_the_readings_of_all_workers(worker, monkeypatch):
    one, two = worker(), worker()
    made = Info("build", "B.", ["n"], ttl=3600, registry=one).labels("x")
    made.info({"version": "1"})
    Info("build", "B.", ["n"], ttl=3600, registry=two)
    assert read_lines(one, "build_info") == read_lines(two, "build_info") == ['build_info{n="x",version="1"} 1.0']
    now = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: now() + 3600)
    assert read_lines(one, "build_info") == read_lines(two, "build_info") == []


def test_an_enum_has_the_state_of_each_worker(worker):
    one, two = worker(), worker()
    Enum("e", "E.", states=["a", "b"], registry=one)
    Enum("e", "E.", states=["a", "b"], registry=two).state("b")
    value = one.get_sample_value
    states = [value("e", {"worker": w, "e": s}) for w in "01" for s in "ab"]
    assert states == [1, 0, 0, 1]


@pytest.mark.blocking
async def test_requests_under_way_are_added_up_over_workers(worker):
    one, two = worker(), worker()
    release = anyio.Event()

    async def app(scope, receive, send):
        await release.wait()

    def active():
        return [line.rpartition(" ")[2] for line in read_lines(one, "http_server_active_requests{")]

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [], "scheme": "http"}
    async with anyio.create_task_group() as group:
        for registry in (one, two):
            group.start_soon(MetricsMiddleware(app, registry=registry), dict(scope), app, app)
        await eventually(active, ["2.0"])
        release.set()
        await eventually(active, ["0.0"])


@pytest.mark.parametrize(
    ("per_worker", "lines"), [(False, ["calls_active 1.0"]), (True, ['calls_active{worker="0"} 1.0'])]
)
def test_calls_of_a_killed_worker_are_active_no_longer(worker, per_worker, lines):
    registry = worker()

    def work() -> None:
        CallMetrics("calls", "Calls.", per_worker=per_worker, registry=worker()).__enter__()

    with CallMetrics("calls", "Calls.", per_worker=per_worker, registry=registry):
        run_forked(work)
        assert read_lines(registry, "calls_active") == lines


@pytest.mark.parametrize("labelled", [False, True])
def test_calls_that_run_when_their_worker_is_killed_are_active_no_longer(worker, labelled):
    """With SIGKILL, which lets the worker do nothing more; what it had counted before stays."""
    registry, names = worker(), ["kind"] if labelled else []
    labels = '{kind="mail"}' if labelled else ""

    def make(registry):
        calls = CallMetrics("calls", "Calls.", names, registry=registry)
        return calls.labels("mail") if labelled else calls

    def work() -> None:
        calls = make(worker())
        with calls:
            pass
        with calls, calls:
            os.write(started, b"x")
            signal.pause()

    begun, started = os.pipe()
    with make(registry):
        pid = os.fork()
        if not pid:
            try:
                signal.alarm(PATIENCE_SECONDS)
                work()
            finally:
                os._exit(1)
        os.read(begun, 1)
        assert read_lines(registry, "calls_active") == [f"calls_active{labels} 3.0"]
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert read_lines(registry, "calls_active") == [f"calls_active{labels} 1.0"]
        counted = labels.replace("}", ',outcome="ok"}') or '{outcome="ok"}'
        assert read_lines(registry, "calls_duration_seconds_count") == [f"calls_duration_seconds_count{counted} 1.0"]
    assert read_lines(registry, "calls_active") == [f"calls_active{labels} 0.0"]
    os.close(begun)
    os.close(started)


def test_calls_that_are_active_are_added_up_over_workers(worker):
    one, two = worker(), worker()
    with CallMetrics("calls", "Calls.", registry=one), CallMetrics("calls", "Calls.", registry=two):
        assert read_lines(one, "calls_active") == ["calls_active 2.0"]


def test_calls_per_worker_have_its_label_in_all_metrics(worker):
    one, two = worker(), worker()
    for registry in (one, two):
        with pytest.raises(KeyError), CallMetrics("calls", "Calls.", per_worker=True, registry=registry):
            raise KeyError
    value = one.get_sample_value
    assert value("calls_exceptions_total", {"type": "KeyError", "worker": "1"}) == 1
    assert value("calls_duration_seconds_count", {"outcome": "error", "worker": "0"}) == 1


def test_exemplars_with_other_labels_come_from_the_worker_that_answers(worker):
    one, two = worker(), worker()
    for registry, trace in ((one, "1"), (two, "2")):
        Counter("c", "C.", registry=registry).inc(exemplar={"trace": trace})
        Histogram("h", "H.", buckets=[1], registry=registry).observe(0.5, {"trace": trace})
    found = {s.name: s.exemplar.labels for f in two.collect() for s in f.samples if s.exemplar}
    assert found == {"c_total": {"trace": "2"}, "h_bucket": {"trace": "2"}}


def test_context_labels_and_odd_label_values_are_shared(worker):
    one, two = worker(), worker()
    odd = 'a"b\\c\nd\0e ÿ \ud800'
    Counter("c", "C.", ["n"], context_labels=["tenant"], registry=one).labels(odd).inc()
    Counter("c", "C.", ["n"], context_labels=["tenant"], registry=two)
    assert read_lines(two, "c_total") == read_lines(one, "c_total")
    assert two.get_sample_value("c_total", {"n": odd.replace("\ud800", "\ufffd"), "tenant": ""}) == 1


def test_the_created_time_is_that_of_the_oldest_child(worker):
    one, two = worker(), worker()
    Counter("c", "C.", registry=one).inc()
    time.sleep(0.01)
    counter = Counter("c", "C.", registry=two)
    family = counter.make_family()
    (batch,) = [batch for batch in family.read_batches() if batch]
    assert batch[0].created < counter._children.by_values[()].created


def test_enums_and_infos_of_dead_workers_are_not_exposed(worker):
    registry = worker()
    Counter("c", "C.", registry=registry)

    def work() -> None:
        mine = worker()
        Enum("e", "E.", states=["a", "b"], registry=mine).state("b")
        Info("i", "I.", ["n"], registry=mine).labels("x").info({"version": "1"})

    run_forked(work)
    names = {s.name for f in registry.collect() for s in f.samples}
    assert not names & {"e", "i_info"}


def test_a_restricted_registry_has_the_numbers_of_all_workers(worker):
    one, two = worker(), worker()
    for registry in (one, two):
        Counter("c", "C.", registry=registry).inc()
        Counter("other", "O.", registry=registry).inc()
    restricted = one.restricted_registry(["c_total"])
    assert [line for line in generate_latest(restricted).decode().splitlines() if line[:1] != "#"] == ["c_total 2.0"]
