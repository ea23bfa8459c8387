"""Readings while a worker rewrites its log."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import pytest

from asyncmetrics import (
    CollectorRegistry,
    Counter,
)
from asyncmetrics.registry.collectables import collect_within
from asyncmetrics.storage import SharedStorage
from tests.storage.readings import read_lines


def test_a_rewritten_log_is_read_again(worker):
    one, two = worker(), worker()
    counter = Counter("c", "C.", ["n"], registry=one)
    other = Counter("c", "C.", ["n"], registry=two)
    for number in range(300):
        counter.labels(str(number)).inc(number)
        other.labels(str(number)).inc(1)
        if number >= 10:
            counter.remove(str(number - 10))
            other.remove(str(number - 10))
        if number % 7 == 0:
            found = {s.labels["n"]: s.value for f in two.collect() for s in f.samples if s.name == "c_total"}
            assert found == {str(n): n + 1.0 for n in range(max(0, number - 9), number + 1)}


@pytest.fixture
def begun(worker, tmp_path) -> tuple[CollectorRegistry, SharedStorage, Callable[[], None]]:
    """A registry, its storage, and a function: another worker, whose long log is followed in steps, rewrites it."""
    storage = SharedStorage(str(tmp_path / "metrics"))
    other = worker()
    first, counter = (Counter(name, "C.", ["n"], registry=other) for name in ("first", "c"))
    for made in (first, counter):
        for number in range(3000):
            made.labels(str(number)).inc()
    registry = CollectorRegistry(storage=storage)
    Counter("c", "C.", ["n"], registry=registry)

    def write_anew() -> None:
        for number in range(2000):
            first.remove(str(number))
        for _ in range(3000):
            first.labels("another")
            first.remove("another")

    return registry, storage, write_anew


def test_several_readings_follow_a_log_while_it_is_rewritten(begun):
    registry, storage, write_anew = begun
    one, two = storage.prepare(), storage.prepare()
    list(islice(one, 3))
    write_anew()
    list(islice(two, 3))
    list(one)
    list(two)
    assert len(read_lines(registry, "c_total")) == 3000
    assert read_lines(registry, "asyncmetrics_worker_slot_errors_total") == [
        "asyncmetrics_worker_slot_errors_total 0.0"
    ]


def test_a_scrape_is_whole_while_another_follows_a_rewritten_log(begun):
    registry, storage, write_anew = begun
    list(storage.prepare())
    (counter,) = (family for family in collect_within(registry) if family.name == "c")
    reading = iter(counter.read_batches())
    found = list(islice(reading, 3))  # it begins to number the series
    write_anew()
    list(islice(storage.prepare(), 2))  # is left in the middle
    found.extend(reading)
    assert sum(point.read_numbers()[0] for batch in found for point in batch) == 3000
