"""Series with a time to live, over all workers."""

from __future__ import annotations

import time

from asyncmetrics import (
    Counter,
)
from tests.forks import run_forked
from tests.patience import wait_for
from tests.storage.readings import read_lines


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
