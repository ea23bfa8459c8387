"""Removing series that several workers have, or that only dead workers had."""

from __future__ import annotations

from asyncmetrics import (
    Counter,
)
from tests.forks import run_forked
from tests.storage.readings import read_lines


def test_removing_a_series_removes_it_from_this_worker_and_dead_ones(worker):
    one, two = worker(), worker()
    counters = [Counter("c", "C.", ["n"], registry=registry) for registry in (one, two)]
    run_forked(lambda: [counters[0].labels(n).inc() for n in "xyz"])
    for n in "xyz":
        counters[0].labels(n).inc(10)
    counters[1].labels("y").inc(100)
    counters[0].remove("x")
    counters[0].remove("y")
    for registry in (one, two):
        assert read_lines(registry, "c_total") == ['c_total{n="z"} 11.0', 'c_total{n="y"} 100.0'] or sorted(
            read_lines(registry, "c_total")
        ) == ['c_total{n="y"} 100.0', 'c_total{n="z"} 11.0']


def test_a_removed_child_is_created_again_from_zero(worker):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    old = counter.labels("x")
    old.inc(5)
    counter.remove("x")
    old.inc()
    assert read_lines(registry, "c_total") == []
    counter.labels("x").inc(2)
    old.inc()
    assert read_lines(registry, "c_total") == ['c_total{n="x"} 2.0']


def test_clearing_takes_out_what_dead_workers_had_as_well(worker):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    run_forked(lambda: counter.labels("theirs").inc())
    counter.labels("mine").inc()
    counter.clear()
    assert read_lines(registry, "c_total") == []


def test_removing_by_labels_finds_what_only_dead_workers_had(worker):
    registry = worker()
    counter = Counter("c", "C.", ["n", "m"], registry=registry)
    run_forked(lambda: counter.labels("x", "theirs").inc())
    counter.labels("y", "mine").inc()
    counter.remove_by_labels({"n": "x"})
    assert read_lines(registry, "c_total") == ['c_total{m="mine",n="y"} 1.0']


def test_churn_keeps_the_files_bounded(worker, tmp_path):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    sizes = []
    for number in range(5000):
        counter.labels(f"series {number}").inc()
        counter.remove(f"series {number}")
        if number in (1000, 4999):
            sizes.append(sum(path.stat().st_size for path in (tmp_path / "metrics").iterdir()))
    assert sizes[1] < sizes[0] + 20_000
    assert read_lines(registry, "c_total") == []
