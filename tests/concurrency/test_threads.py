"""Threads that switch all the time lose nothing and read whole snapshots."""

from __future__ import annotations

import sys
import threading

import pytest

from asyncmetrics import CollectorRegistry, Counter, Gauge, Histogram, Summary
from asyncmetrics.storage.memory import MemoryStorage

THREADS, TIMES = 8, 20_000


@pytest.fixture(autouse=True)
def switching():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(params=[False, True], ids=["lock-free", "locking"])
def registry(request):
    return CollectorRegistry(storage=MemoryStorage(locking=request.param))


def run(*works):
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_no_increment_is_lost(registry):
    counter, gauge = Counter("c", "C.", ["n"], registry=registry), Gauge("g", "G.", registry=registry)
    times = TIMES if not hasattr(counter.labels("x"), "_lock") else TIMES // 10

    def work():
        child = counter.labels("x")
        for _ in range(times):
            child.inc()
            gauge.inc(2)
            gauge.dec()

    run(*[work] * THREADS)
    assert (counter.labels("x").value, registry.get_sample_value("g")) == (THREADS * times, THREADS * times)


def test_no_observation_is_lost(registry):
    summary, histogram = Summary("s", "S.", registry=registry), Histogram("h", "H.", buckets=[1], registry=registry)

    def work():
        for _ in range(2000):
            summary.observe(2)
            histogram.observe(0.5)

    run(*[work] * THREADS)
    value = registry.get_sample_value
    assert (value("s_count"), value("s_sum"), value("h_bucket", {"le": "1.0"})) == (16_000, 32_000, 16_000)


def test_a_histogram_that_is_read_while_observed_agrees_with_itself(registry):
    histogram = Histogram("h", "H.", buckets=[1, 2, 3], registry=registry)
    done = threading.Event()
    wrong = []

    def observe():
        while not done.is_set():
            for amount in (0.5, 1.5, 2.5, 3.5):
                histogram.observe(amount)

    def read():
        for _ in range(2000):
            (family,) = histogram.collect()
            *buckets, count, total = (sample.value for sample in family.samples)
            counts = [b - a for a, b in zip([0, *buckets], buckets, strict=False)]
            if count != buckets[-1] or total != sum(n * x for n, x in zip(counts, (0.5, 1.5, 2.5, 3.5), strict=True)):
                wrong.append((buckets, count, total))
        done.set()

    run(observe, observe, read)
    assert wrong == []


def test_a_child_is_created_once_by_whoever_comes_first(registry):
    counter = Counter("c", "C.", ["n"], registry=registry)
    start = threading.Barrier(THREADS)

    def work():
        start.wait()
        for number in range(500):
            counter.labels(number).inc()

    run(*[work] * THREADS)
    (family,) = registry.collect()
    assert [sample.value for sample in family.samples] == [THREADS] * 500
