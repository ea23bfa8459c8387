"""Heartbeat: a loop that hangs is seen as long as its process lives, and a worker that was replaced is not."""

from __future__ import annotations

import gc
import os
import time

import pytest

from asyncmetrics import CollectorRegistry, Gauge, generate_latest
from asyncmetrics.errors import DefinitionError, DuplicateMetricError
from asyncmetrics.jobs import Heartbeat
from asyncmetrics.storage import SharedStorage
from tests.forks import run_forked
from tests.loops import LoopThread
from tests.patience import wait_for, wait_until

LAST = "heartbeat_last_timestamp_seconds"


@pytest.fixture
def read(registry):
    """Return the time of the last beat of the consumer."""
    return lambda: registry.get_sample_value(LAST, {"heartbeat": "consumer"})


@pytest.fixture
def read_interval(registry):
    """Return the interval of the consumer."""
    return lambda: registry.get_sample_value("heartbeat_interval_seconds", {"heartbeat": "consumer"})


@pytest.fixture
def advance(monkeypatch):
    """Let the monotonic clock go forward by so many seconds."""
    now, ahead = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now() + sum(ahead))
    return ahead.append


@pytest.fixture
def worker(tmp_path):
    """Make a registry as one more worker on the same directory has it."""
    return lambda: CollectorRegistry(storage=SharedStorage(str(tmp_path / "metrics")))


def list_workers(registry, name=LAST):
    """Return the label ``worker`` of each series of a registry."""
    return [
        sample.labels.get("worker") for family in registry.collect() for sample in family.samples if sample.name == name
    ]


def test_a_beat_sets_the_time(registry, read):
    begun = time.time()
    Heartbeat("consumer", interval=5, registry=registry).beat()
    assert begun <= read() <= time.time()


def test_every_beat_sets_the_time_again(registry, read):
    heartbeat = Heartbeat("consumer", interval=5, registry=registry)
    heartbeat.beat()
    first = read()
    wait_until(lambda: time.time() > first)
    heartbeat.beat()
    assert read() > first


def test_there_is_no_series_before_the_first_beat(registry, read, read_interval):
    Heartbeat("consumer", interval=5, registry=registry)
    assert (read(), read_interval()) == (None, None)


def test_the_interval_is_exposed(registry, read_interval):
    Heartbeat("consumer", interval=2.5, registry=registry).beat()
    assert read_interval() == 2.5


def test_threads_beat(registry, read):
    heartbeat = Heartbeat("consumer", interval=5, registry=registry)
    with LoopThread("asyncio") as one, LoopThread("trio") as other:
        for loop in (one, other):
            loop.call(heartbeat.beat)
    assert read() is not None


def test_stop_removes_the_series(registry, read, read_interval):
    heartbeat = Heartbeat("consumer", interval=5, registry=registry)
    heartbeat.beat()
    heartbeat.stop()
    assert (read(), read_interval()) == (None, None)


def test_stop_before_the_first_beat_does_nothing(registry, read):
    other = Heartbeat("consumer", interval=5, registry=registry)
    other.beat()
    Heartbeat("consumer", interval=5, registry=registry).stop()
    assert read() is not None


def test_a_beat_after_stop_brings_the_series_back(registry, read, read_interval):
    heartbeat = Heartbeat("consumer", interval=5, registry=registry)
    heartbeat.beat()
    heartbeat.stop()
    heartbeat.beat()
    assert read() is not None
    assert read_interval() == 5


def test_the_series_stays_until_the_last_heartbeat_of_its_name_stops(registry, read):
    heartbeats = [Heartbeat("consumer", interval=5, registry=registry) for _ in range(2)]
    for heartbeat in heartbeats:
        heartbeat.beat()
    heartbeats[0].stop()
    assert read() is not None
    heartbeats[1].stop()
    assert read() is None


def test_of_two_intervals_of_one_name_the_longer_one_is_exposed(registry, read_interval):
    for interval in (60, 5):
        Heartbeat("consumer", interval=interval, registry=registry).beat()
    assert read_interval() == 60


def test_the_series_of_a_heartbeat_that_nothing_refers_to_stays(registry, read, advance):
    """Its loop may have ended by an exception: that is what the alert is for."""
    Heartbeat("consumer", interval=5, registry=registry).beat()
    gc.collect()
    advance(3600)
    assert read() is not None


@pytest.mark.parametrize("collect", [generate_latest, lambda registry: list(registry.collect())])
def test_a_loop_that_hangs_stays_exposed_for_hours(registry, read, advance, collect):
    Heartbeat("consumer", interval=5, registry=registry).beat()
    last = read()
    for _ in range(3):
        advance(3600)
        assert LAST in str(collect(registry))
    assert read() == last


def test_several_workers_have_their_own_series_with_the_label_worker(worker):
    one, two = worker(), worker()
    for registry in (one, two):
        Heartbeat("consumer", interval=5, registry=registry).beat()
    assert sorted(list_workers(one)) == ["0", "1"]


def test_the_interval_of_several_workers_is_one_series(worker):
    one, two = worker(), worker()
    for registry in (one, two):
        Heartbeat("consumer", interval=5, registry=registry).beat()
    wait_until(lambda: list_workers(one, "heartbeat_interval_seconds") == [None])


def test_a_loop_that_hangs_in_a_live_worker_stays_in_the_scrapes_of_others(worker, advance):
    """The stuck worker is never scraped itself: its keeper marks the series."""
    one, two = worker(), worker()
    Heartbeat("consumer", interval=5, registry=one).beat()
    for _ in range(3):
        advance(550)
        wait_for(lambda: list_workers(two), ["0"])


def beat_and_end(worker):
    """Beat in a worker that then ends."""

    def work():
        Heartbeat("consumer", interval=5, registry=worker()).beat()

    run_forked(work)


def test_a_worker_that_has_ended_is_seen_for_a_while(worker):
    first = worker()
    Gauge("other", "Takes slot 0.", registry=first).set(1)
    beat_and_end(worker)
    Heartbeat("another", interval=5, registry=first)
    assert list_workers(first) == ["1"]


def test_a_worker_that_has_ended_leaves_after_ten_minutes(worker, advance):
    first = worker()
    Gauge("other", "Takes slot 0.", registry=first).set(1)
    beat_and_end(worker)
    Heartbeat("another", interval=5, registry=first)
    advance(500)
    assert list_workers(first) == ["1"]
    advance(101)
    assert list_workers(first) == []


def test_a_worker_that_was_replaced_leaves_at_once(worker):
    first = worker()
    Gauge("other", "Takes slot 0.", registry=first).set(1)
    beat_and_end(worker)
    Heartbeat("another", interval=5, registry=first)
    second = worker()
    Gauge("other", "Takes slot 1.", registry=second).set(1)
    assert list_workers(first) == []


def test_the_interval_of_a_worker_that_has_ended_stays_for_the_alert(worker):
    first = worker()
    Gauge("other", "Takes slot 0.", registry=first).set(1)

    def work():
        registry = worker()
        Heartbeat("consumer", interval=5, registry=registry).beat()
        list(registry.collect())

    run_forked(work)
    Heartbeat("another", interval=5, registry=first)
    assert first.get_sample_value("heartbeat_interval_seconds", {"heartbeat": "consumer"}) == 5


def test_a_forked_process_has_no_series_before_it_beats_itself(worker, tmp_path):
    first = worker()
    heartbeat = Heartbeat("consumer", interval=5, registry=first)
    heartbeat.beat()

    def work():
        Gauge("other", "Takes a slot.", registry=first).set(1)
        (tmp_path / "before").write_text(str(sorted(list_workers(first))))
        heartbeat.beat()
        (tmp_path / "after").write_text(str(sorted(list_workers(first))))

    run_forked(work)
    assert (tmp_path / "before").read_text() == "['0']"
    assert (tmp_path / "after").read_text() == "['0', '1']"


def test_a_fork_leaves_the_heartbeat_of_the_parent(registry, read):
    heartbeat = Heartbeat("consumer", interval=5, registry=registry)
    heartbeat.beat()
    run_forked(lambda: os.getpid())
    assert read() is not None


def test_a_namespace_begins_the_names_of_the_metrics(registry):
    Heartbeat("consumer", interval=5, registry=registry, namespace="shop").beat()
    assert registry.get_sample_value(f"shop_{LAST}", {"heartbeat": "consumer"}) is not None


def test_another_metric_of_one_of_the_names_is_an_error(registry):
    Gauge(LAST, "Another.", registry=registry)
    with pytest.raises(DuplicateMetricError, match=LAST):
        Heartbeat("consumer", interval=5, registry=registry)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (5, {"interval": 5}, "name: expected a str such as 'consumer', got 5"),
        ("", {"interval": 5}, "name: expected a str that is not empty"),
        ("consumer", {"interval": 0}, "interval: expected more than 0 seconds, as a finite number, got 0"),
        ("consumer", {"interval": "5m"}, "write 300"),
        ("consumer", {"interval": 5, "namespace": "1"}, "namespace"),
        ("consumer", {"interval": 5, "registry": None}, "registry"),
    ],
)
def test_a_wrong_argument_is_named(registry, name, options, message):
    with pytest.raises(DefinitionError, match=message):
        Heartbeat(name, **{"registry": registry, **options})
