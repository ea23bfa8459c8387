"""Children in memory, lock-free and locking."""

from __future__ import annotations

import threading
import time

import pytest

from asyncmetrics import CollectorRegistry, Counter, Gauge, Histogram, Summary
from asyncmetrics.storage import MemoryStorage
from asyncmetrics.storage.memory.stand_ins import link, make_stand_in


@pytest.fixture(params=[False, True], ids=["lock-free", "locking"])
def storage_registry(request):
    return CollectorRegistry(storage=MemoryStorage(locking=request.param))


def test_children_of_either_kind_count_the_same(storage_registry):
    Counter("c", "C.", registry=storage_registry).inc(2)
    gauge = Gauge("g", "G.", registry=storage_registry)
    gauge.set(5)
    gauge.inc()
    gauge.dec(3)
    Summary("s", "S.", registry=storage_registry).observe(4)
    Histogram("h", "H.", registry=storage_registry).observe(0.2)
    value = storage_registry.get_sample_value
    assert [value("c_total"), value("g"), value("s_sum"), value("h_bucket", {"le": "0.25"})] == [2, 3, 4, 1]


def test_parts_of_summaries_and_histograms(storage_registry):
    """The count and the sum of a summary; the buckets and, behind them, the sum of a histogram."""
    summary = Summary("s", "S.", ["n"], registry=storage_registry).labels("x")
    histogram = Histogram("h", "H.", ["n"], buckets=(1, 2), registry=storage_registry).labels("x")
    for child, parts in ((summary, 2), (histogram, 4)):
        for part in range(parts):
            child.set_number(part, 5.0)
            child.add_number(part, part - 4.0)
    assert list(summary.read_numbers()) == [1, 2]
    assert histogram.read_counts() == ([1, 2, 3], 4)


def test_a_child_that_locks_can_be_used_inside_itself(storage_registry):
    """As a signal handler would: the lock is taken already."""
    counter = Counter("c", "C.", ["n"], registry=storage_registry)
    child = counter.labels("x")
    lock = getattr(child, "_lock", threading.RLock())
    with lock:
        child.inc()
    assert child.value == 1


def test_threads_that_create_and_remove_lose_no_child_that_stays(storage_registry):
    counter = Counter("c", "C.", ["n"], registry=storage_registry)
    for number in range(500):
        counter.labels(f"stays {number}")
    stop = threading.Event()

    def churn(name):
        number = 0
        while not stop.is_set():
            counter.labels(f"{name} {number}").inc()
            counter.remove(f"{name} {number}")
            number += 1

    threads = [threading.Thread(target=churn, args=(str(n),)) for n in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(30):
            (family,) = storage_registry.collect()
            found = [sample.labels["n"] for sample in family.samples]
            assert len(found) == len(set(found))
            assert sum(name.startswith("stays") for name in found) == 500
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("change", ["add_number", "set_number"])
@pytest.mark.parametrize("kind", [Summary, Histogram])
def test_a_change_of_one_number_is_a_change_for_the_ttl(storage_registry, kind, change, monkeypatch):
    """A child that is still used stays."""
    child = kind("m", "M.", ["n"], ttl=60, registry=storage_registry).labels("x")
    later = child.changed_at + 59
    monkeypatch.setattr(time, "monotonic", lambda: later)
    getattr(child, change)(0, 1.0)
    assert child.changed_at == later


def test_a_stand_in_reads_the_numbers_of_its_successor():
    """A collection may hold a child while its metric moves to shared storage."""
    old, new = (Histogram("h", "H.", ["n"], buckets=(1, 2), registry=CollectorRegistry()).labels("x") for _ in range(2))
    make_stand_in(old)
    link(old, new)
    new.observe(1.5)
    assert list(old.read_numbers()) == [0, 1, 1, 1, 1.5]
    assert old.read_counts() == ([0, 1, 0], 1.5)
