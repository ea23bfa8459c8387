"""Series with a time to live, over all workers."""

from __future__ import annotations

import errno
import os
import time
from itertools import count
from threading import current_thread
from weakref import ref

import pytest

from asyncmetrics import Counter, Gauge
from tests.forks import run_forked
from tests.patience import wait_for, wait_until
from tests.storage.readings import read_lines, read_value


def test_stale_children_leave_all_readings(worker, monkeypatch):
    one, two = worker(), worker()
    counters = [Counter("c", "C.", ["n"], ttl=3600, registry=registry) for registry in (one, two)]
    counters[0].labels("x").inc()
    counters[1].labels("x").inc()
    assert read_lines(one, "c_total") == read_lines(two, "c_total") == ['c_total{n="x"} 2.0']
    now = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: now() + 3600)
    assert read_lines(one, "c_total") == read_lines(two, "c_total") == []
    counters[0].labels("x").inc()
    assert len(read_lines(one, "c_total")) == 1


def test_series_that_are_stale_leave_a_slot_that_was_adopted(worker, path):
    first = worker()
    Counter("other", "O.", registry=first)

    def old() -> None:
        counter = Counter("c", "C.", ["n"], ttl=0.2, max_children=4, registry=worker())
        for number in range(4):
            counter.labels(f"old {number}").inc()

    run_forked(old)
    new = worker()
    counter = Counter("c", "C.", ["n"], ttl=0.2, max_children=4, registry=new)

    def readings() -> set[str]:
        counter.remove("__overflow__")
        counter.labels("new").inc()
        return {s.labels["n"] for f in counter.collect() for s in f.samples if s.name == "c_total"}

    wait_for(readings, {"new"})


@pytest.fixture
def advance(monkeypatch):
    """Let the monotonic clock go forward by so many seconds."""
    now, ahead = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now() + sum(ahead))
    return ahead.append


def wait_for_chores(registry, number=count()):
    """Wait until the thread of a worker has done the chores of the metrics that were declared before."""
    threads = []
    probe = Gauge(f"probe_{next(number)}", "Its function is called in turn.", registry=registry)
    probe.set_function(lambda: len(threads.append(current_thread().name) or threads))
    wait_until(lambda: "asyncmetrics-keeper" in threads)


def test_a_sum_does_not_decrease_while_one_worker_still_counts(worker, advance):
    one, two = worker(), worker()
    counters = [Counter("c", "C.", ["n"], ttl=3600, registry=registry) for registry in (one, two)]
    for counter in counters:
        counter.labels("x").inc(5)
    sums = []
    for _ in range(3):
        advance(2000)
        counters[1].labels("x").inc()
        sums += [read_value(registry, n="x") for registry in (two, one)]
    advance(600)
    wait_for_chores(one)
    sums.append(read_value(two, n="x"))
    counters[0].labels("x").inc()  # by a new child
    assert (sums, read_value(one, n="x")) == ([11, 11, 12, 12, 13, 13, 13], 14)


def test_a_series_that_is_stale_in_all_workers_starts_again_from_zero(worker, advance):
    one, two = worker(), worker()
    counters = [Counter("c", "C.", ["n"], ttl=3600, registry=registry) for registry in (one, two)]
    children = [ref(counter.labels("x")) for counter in counters]
    for counter in counters:
        counter.labels("x").inc(5)

    def read_later():
        advance(4000)
        return [read_lines(registry, "c_total") for registry in (one, two)]

    wait_until(lambda: read_later() and not any(child() for child in children))
    patient = worker()
    Counter("c", "C.", ["n"], ttl=10**9, registry=patient)  # which reads the series as long as a worker has it
    wait_until(lambda: read_value(patient, n="x") is None or advance(4000))  # the chores are due each time
    counters[0].labels("x").inc()
    assert read_value(two, n="x") == 1


@pytest.fixture
def expire(worker, advance):
    """Return two workers with parts of one series, and let the child of the first one expire."""

    def expire(prepare=lambda: None):
        registries = [worker(), worker()]
        counters = [Counter("c", "C.", ["n"], ttl=3600, registry=registry) for registry in registries]
        for counter in counters:
            counter.labels("x").inc(5)
        child = ref(counters[0].labels("x"))
        prepare()

        def count_later():
            advance(2000)
            counters[1].labels("x").inc()
            read_lines(registries[0], "c_total")
            return child() is None

        wait_until(count_later)
        return registries

    return expire


def test_no_part_is_removed_while_another_slot_cannot_be_read(expire, advance, monkeypatch):
    def refuse(path, *arguments, **options):
        if "s1." in str(path):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return open_file(path, *arguments, **options)

    open_file = os.open
    one, two = expire(lambda: monkeypatch.setattr(os, "open", refuse))
    before = read_value(two, n="x")
    advance(600)
    wait_for_chores(one)
    assert read_value(two, n="x") == before


def test_no_part_is_removed_while_another_definition_is_the_newest(expire, worker, advance):
    one, two = expire()
    before = read_value(two, n="x")
    new = worker()
    Counter("c", "C.", ["n"], ttl=3600, per_worker=True, registry=new).labels("y").inc()
    assert read_value(two, n="x") is None
    advance(600)
    wait_for_chores(one)
    new.storage.close()
    assert read_value(two, n="x") == before
