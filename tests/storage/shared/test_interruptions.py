"""Signal handlers, other threads and other scrapes in the middle of an operation."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event, Thread

import pytest

from asyncmetrics import (
    Counter,
    generate_latest,
)
from asyncmetrics.storage.shared import worker as module
from tests.patience import PATIENCE_SECONDS
from tests.storage.readings import read_lines, read_value


def test_families_of_other_workers_are_exposed_while_other_threads_scrape(worker):
    one, two = worker(), worker()

    def work(thread: int) -> None:
        for number in range(50):
            two.unregister(Counter(f"new_{thread}_{number}", "N.", registry=two))
            generate_latest(one)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    assert read_lines(one, "asyncmetrics_collector_errors_total") == []


def test_an_exception_of_a_signals_handler_reaches_whom_it_interrupts(worker, monkeypatch):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    counter.labels("x")
    write = os.pwrite

    def interrupted(*arguments):
        monkeypatch.setattr(os, "pwrite", write)
        write(*arguments)
        raise TimeoutError("too late")

    monkeypatch.setattr(os, "pwrite", interrupted)
    with pytest.raises(TimeoutError, match="too late"):
        counter.labels("y")
    counter.labels("y").inc()
    counter.labels("z").inc(2)
    assert [read_value(registry, n=n) for n in "xyz"] == [0, 1, 2]
    assert read_value(registry, "asyncmetrics_worker_dropped_series_total") == 0


def test_a_scrape_inside_a_scrape_reads_the_same(worker):
    one, two = worker(), worker()
    counter = Counter("c", "C.", ["n"], registry=one)
    for number in range(5000):
        counter.labels(str(number)).inc()
    Counter("c", "C.", ["n"], registry=two)
    outer = [family for family in two.collect() if family.name == "c"][0]
    batches = outer.read_batches()
    seen = 0
    for batch in batches:
        seen += len(batch)
        with suppress(StopIteration):
            assert read_value(two, n="4999") == 1
    assert seen == 5000


@pytest.fixture
def interrupt_write(monkeypatch):
    """Call a function at the next write to a file of a worker, in the middle of its structural work."""
    write = os.pwrite

    def prepare(function: Callable[[], object]) -> None:
        def interrupted(*arguments):
            monkeypatch.setattr(os, "pwrite", write)
            function()
            return write(*arguments)

        monkeypatch.setattr(os, "pwrite", interrupted)

    return prepare


def test_a_reading_waits_for_another_thread_that_is_about_to_remove_a_series(worker, interrupt_write):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    counter.labels("x").inc(5)
    is_inside, goes_on = Event(), Event()
    interrupt_write(lambda: is_inside.set() or goes_on.wait(PATIENCE_SECONDS))
    thread = Thread(target=counter.labels, args=("y",))
    thread.start()
    assert is_inside.wait(PATIENCE_SECONDS)
    counter.remove("x")  # by the thread, after its own work
    counter.labels("x").inc()
    (family,) = (family for family in registry.collect() if family.name == "c")
    reading = iter(family.read_batches())
    meanwhile = [list(next(reading)) for _ in range(20)]
    goes_on.set()
    values = {point.labelvalues: point.read_numbers()[0] for batch in reading for point in batch}
    thread.join()
    assert (meanwhile, values) == ([[]] * 20, {("x",): 1.0, ("y",): 0.0})


def test_a_reading_that_interrupts_the_work_of_its_own_thread_does_not_wait(worker, interrupt_write):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    counter.labels("x").inc()
    inside = []
    interrupt_write(lambda: inside.append(read_value(registry, n="x")))
    counter.labels("y").inc()
    assert (inside, read_value(registry, n="y")) == ([1.0], 1.0)


def test_readings_together_wait_only_once_for_work_that_does_not_end(worker, interrupt_write, monkeypatch):
    monkeypatch.setattr(module, "_WAITS", 5)
    registry = worker()
    counters = [Counter(f"c{number}", "C.", ["n"], registry=registry) for number in range(3)]
    is_inside, goes_on = Event(), Event()
    interrupt_write(lambda: is_inside.set() or goes_on.wait(PATIENCE_SECONDS))
    thread = Thread(target=counters[0].labels, args=("x",))
    thread.start()
    assert is_inside.wait(PATIENCE_SECONDS)
    families = [family for family in registry.collect() if family.name.startswith("c")]
    steps = [len(list(family.read_batches())) for family in families]
    goes_on.set()
    thread.join()
    assert (steps[0] >= 5, max(steps[1:]) < 5, read_value(registry, "c0_total", n="x")) == (True, True, 0.0)
