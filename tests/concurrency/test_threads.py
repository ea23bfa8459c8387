"""Threads that switch all the time lose nothing and read whole snapshots."""

from __future__ import annotations

import sys
import threading
from functools import partial

import pytest

from asyncmetrics import CollectorRegistry, Counter, Gauge, Histogram, Summary
from asyncmetrics.storage import MemoryStorage

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
            child.inc(2)
            gauge.inc(2)
            gauge.dec()

    run(*[work] * THREADS)
    assert (counter.labels("x").value, registry.get_sample_value("g")) == (3 * THREADS * times, THREADS * times)


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


NATIVE = pytest.mark.parametrize("buckets", [(), range(1, 9)], ids=["native only", "both"])


def count_native(child):
    """Return the counts of a native histogram: of all buckets, of the classic ones, and the sum."""
    classic, total = child.read_counts()
    native = child.read_native()
    return native.count_value, sum(classic), total, native.sum_value


@NATIVE
def test_no_observation_is_lost_while_a_native_histogram_gets_new_stages(registry, buckets):
    """It goes through 9 resolutions, and widens its zero bucket, while 6 threads observe."""
    options = {"max_buckets": 4, "max_zero_threshold": 0.01, "native": 8}
    histogram = Histogram("h", "H.", ["n"], buckets=buckets, registry=registry, **options).labels("x")
    start = threading.Barrier(6)

    def work():
        record = histogram.recorder()
        start.wait()
        for power in range(-40, 360):
            for observe in (histogram.observe, record):
                observe(1.25**power)
                observe(-(1.25**power))

    run(*[work] * 6)
    native = histogram.read_native()
    assert (native.schema, native.zero_threshold > 0.001) == (-4, True)
    assert count_native(histogram)[:2] == (6 * 400 * 4,) * 2


@NATIVE
def test_a_native_histogram_that_is_reset_while_observed_agrees_with_itself(registry, buckets):
    """An observation is in all of its numbers, or in none. The amounts are those of the classic buckets."""
    options = {"max_buckets": 2, "min_reset_seconds": 1e-9, "native": 4}
    histogram = Histogram("h", "H.", ["n"], buckets=buckets, registry=registry, **options).labels("x")

    def work(first):
        for number in range(2000):
            histogram.observe((first + number) % 8 + 1)
            if number % 5 == 0:
                histogram.read_numbers()

    run(*[partial(work, first) for first in range(4)])
    native, classic, total, native_total = count_native(histogram)
    assert (native, total) == (classic, native_total)
    assert native < 8000
    if buckets:
        assert total == sum(count * (index + 1) for index, count in enumerate(histogram.read_counts()[0]))


def test_a_child_is_created_once_by_the_first_thread(registry):
    counter = Counter("c", "C.", ["n"], registry=registry)
    start = threading.Barrier(THREADS)

    def work():
        start.wait()
        for number in range(500):
            counter.labels(number).inc()

    run(*[work] * THREADS)
    (family,) = registry.collect()
    assert [sample.value for sample in family.samples] == [THREADS] * 500


def test_children_that_several_threads_remove_and_create_again_exist_once(registry):
    counter = Counter("c", "C.", ["n"], registry=registry)

    def work():
        for number in range(3000):
            counter.labels(number % 3).inc()
            counter.remove((number + 1) % 3)

    run(*[work] * 4)
    for number in range(3):
        counter.labels(number)
    (family,) = registry.collect()
    assert sorted(sample.labels["n"] for sample in family.samples) == ["0", "1", "2"]


def test_no_label_set_is_read_twice_while_threads_remove_and_create_children(registry):
    counter = Counter("c", "C.", ["n"], registry=registry)
    done = threading.Event()
    twice = []

    def work():
        number = 0
        while not done.is_set():
            number += 7
            counter.remove(number % 700)
            counter.labels(number % 700).inc()

    def read():
        for _ in range(300):
            seen = [sample.labels["n"] for family in counter.collect() for sample in family.samples]
            if len(set(seen)) < len(seen):
                twice.append(seen)
        done.set()

    run(work, work, work, read)
    assert twice == []
