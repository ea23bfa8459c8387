"""What a worker leaves when it ends, and what the worker that adopts its slot goes on with."""

from __future__ import annotations

import os
import signal
import time

import pytest

from asyncmetrics import (
    Counter,
    Gauge,
    Histogram,
    Summary,
)
from asyncmetrics.registry.collectables import collect_within
from tests.forks import run_forked
from tests.storage.readings import read_lines


def test_a_worker_that_ends_leaves_its_counts_and_takes_its_live_gauges_along(worker):
    registry = worker()
    counter = Counter("c", "C.", registry=registry)
    gauge = Gauge("g", "G.", multiprocess_mode="livesum", registry=registry)

    def work() -> None:
        counter.inc(5)
        gauge.set(7)
        assert registry.get_sample_value("g") == 7

    counter.inc()
    run_forked(work)
    assert [registry.get_sample_value("c_total"), registry.get_sample_value("g")] == [6, 0]
    assert read_lines(registry, "asyncmetrics_workers{") == [
        'asyncmetrics_workers{state="live"} 1.0',
        'asyncmetrics_workers{state="dead"} 1.0',
    ]


def test_a_slot_is_adopted_with_its_counts(worker, tmp_path):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    for _ in range(5):
        run_forked(lambda: [counter.labels("x").inc(), counter.labels("y").inc(2)])
    assert [registry.get_sample_value("c_total", {"n": n}) for n in "xy"] == [5, 10]
    assert len(list((tmp_path / "metrics").iterdir())) == 4  # two slots


def test_histograms_and_summaries_go_on_from_what_their_slot_holds(worker):
    registry = worker()
    histogram, summary = Histogram("h", "H.", buckets=[1, 10], registry=registry), Summary("s", "S.", registry=registry)
    for _ in range(3):
        run_forked(lambda: [histogram.observe(5), summary.observe(2)])
    value = registry.get_sample_value
    assert [value("h_count"), value("h_sum"), value("s_count"), value("s_sum")] == [3, 15, 3, 6]
    assert value("h_bucket", {"le": "1.0"}) == 0


@pytest.mark.parametrize("kind", [Counter, Summary, Histogram])
def test_a_child_in_an_adopted_slot_keeps_its_created_time(worker, kind):
    registry = worker()
    metric = kind("m", "M.", ["n"], registry=registry)
    use = lambda: metric.labels("x").inc() if kind is Counter else metric.labels("x").observe(1)

    def created() -> float:
        (family,) = (family for family in collect_within(registry) if family.name == "m")
        ((point,),) = filter(None, family.read_batches())
        return point.created

    run_forked(use)
    first = created()
    time.sleep(0.01)
    run_forked(use)
    assert created() == first


def test_a_killed_worker_is_not_live(worker):
    registry = worker()
    gauge = Gauge("g", "G.", multiprocess_mode="livesum", registry=registry)
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        gauge.set(7)
        os.write(write, b"x")
        signal.pause()
    os.read(read, 1)
    assert registry.get_sample_value("g") == 7
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert registry.get_sample_value("g") == 0
    os.close(read)
    os.close(write)


def test_the_limit_of_children_counts_what_the_slot_holds(worker):
    registry = worker()
    counter = Counter("c", "C.", ["n"], max_children=5, registry=registry)
    for generation in range(4):
        run_forked(lambda: [counter.labels(f"{generation} {number}").inc() for number in range(3)])
    found = read_lines(registry, "c_total")
    assert sum(float(line.split()[-1]) for line in found) == 12
    assert len(found) == 6
    assert registry.get_sample_value("asyncmetrics_overflowed_label_sets_total", {"metric": "c"}) == 7
