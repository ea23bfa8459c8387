"""Gauges whose numbers come from a function, for the scrapes of other workers."""

from __future__ import annotations

import asyncio
import math
import threading

import anyio
import pytest

from asyncmetrics import Gauge
from tests.loops import LoopThread
from tests.patience import wait_for, wait_until
from tests.storage.readings import read_lines


def test_a_gauge_function_has_the_label_of_its_worker_and_is_left_out_while_it_fails(worker):
    one, two = worker(), worker()
    answers = [5.0]
    Gauge("g", "G.", registry=one).set_function(lambda: answers[0])
    Gauge("g", "G.", registry=two).set(1)
    assert read_lines(one, "g{") == ['g{worker="0"} 5.0', 'g{worker="1"} 1.0']
    answers.clear()
    assert read_lines(one, "g{") == ['g{worker="1"} 1.0']
    assert read_lines(two, "g{") == ['g{worker="1"} 1.0']


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_gauge_function_is_called_for_the_scrapes_of_other_workers(worker, kind):
    one, two = worker(), worker()
    number = 1.0

    async def later() -> float:
        return number

    Gauge("g", "G.", multiprocess_mode="sum", registry=one).set_function(later if kind == "async" else lambda: number)
    for number in (2.0, 3.0):
        wait_for(lambda: two.get_sample_value("g"), number)


def test_what_gauges_collect_is_merged_by_their_mode_and_goes_with_its_worker(worker):
    one, two = worker(), worker()
    told = {("a",): 1, ("b",): 5}
    for registry in (one, two):
        Gauge("g", "G.", ["n"], multiprocess_mode="livesum", registry=registry).collect_from(lambda: told)
    for expected in ({"a": 2, "b": 10}, {"a": 2}):
        wait_for(lambda: {s.labels["n"]: s.value for f in two.collect() for s in f.samples if s.name == "g"}, expected)
        told.pop(("b",), None)
    one.storage.close()
    assert read_lines(two, "g{") == ['g{n="a"} 1.0']


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_functions_of_other_workers_run_on_the_loops_of_their_applications(worker, backend):
    one, two = worker(), worker()

    async def find_thread():
        await anyio.sleep(0)
        return threading.get_ident()

    with LoopThread(backend) as home:
        gauge = Gauge("g", "G.", multiprocess_mode="sum", registry=one)
        home.call(lambda: gauge.set_function(find_thread))
        wait_for(lambda: two.get_sample_value("g"), home.ident)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_function_that_hangs_does_not_keep_the_other_gauges_of_its_worker_from_other_workers(worker, kind):
    one, two = worker(), worker()
    end, number = threading.Event(), 1.0

    async def hang():
        await anyio.sleep_forever()

    Gauge("hanging", "H.", registry=one).set_function(hang if kind == "async" else end.wait)
    Gauge("g", "G.", multiprocess_mode="sum", registry=one).set_function(lambda: number)
    try:
        for number in (2.0, 3.0):
            wait_for(lambda: two.get_sample_value("g"), number)
    finally:
        end.set()


def test_a_function_that_was_late_counts_again_once_it_has_ended(worker, monkeypatch, caplog):
    """Meanwhile its series is left out of the scrapes of all workers."""
    monkeypatch.setattr("asyncmetrics.storage.shared.refreshing.HOME_SECONDS", 0.1)
    one, two = worker(), worker()
    end = threading.Event()
    end.set()
    number = 7.0
    Gauge("g", "G.", multiprocess_mode="sum", registry=one).set_function(lambda: end.wait() and number)
    wait_until(lambda: two.get_sample_value("g") == number)
    end.clear()
    wait_for(lambda: two.get_sample_value("g"), None)
    end.set()
    wait_until(lambda: two.get_sample_value("g") == number)


@pytest.mark.parametrize("home", ["private", "asyncio", "trio"])
def test_an_async_function_that_hangs_keeps_no_other_one_of_its_gauge_waiting(worker, home, monkeypatch):
    monkeypatch.setattr("asyncmetrics.storage.shared.refreshing.HOME_SECONDS", math.inf)  # it is never cancelled
    one, two = worker(), worker()
    calls, number = [], 1.0

    async def hang():
        calls.append(1)
        await anyio.sleep_forever()

    async def count():
        return number

    gauge = Gauge("g", "G.", ["n"], multiprocess_mode="sum", registry=one)

    def set_functions():
        gauge.labels("hanging").set_function(hang)
        gauge.labels("quick").set_function(count)

    with LoopThread("asyncio" if home == "private" else home) as loop:
        set_functions() if home == "private" else loop.call(set_functions)
        for number in (2.0, 3.0, 4.0):
            wait_for(lambda: two.get_sample_value("g", {"n": "quick"}), number)
        assert len(calls) == 1


def test_a_function_that_ignores_its_cancellation_is_not_called_again(worker, monkeypatch):
    monkeypatch.setattr("asyncmetrics.storage.shared.refreshing.HOME_SECONDS", 0.1)
    one, two = worker(), worker()
    calls, cancelled, end, number = [], [], threading.Event(), 1.0

    async def stubborn():
        calls.append(1)
        while not end.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                cancelled.append(1)
        return number

    gauge = Gauge("g", "G.", ["n"], multiprocess_mode="sum", registry=one)
    gauge.labels("stubborn").set_function(stubborn)
    gauge.labels("quick").set_function(lambda: number)
    try:
        wait_until(lambda: cancelled)
        for number in (2.0, 3.0, 4.0):  # three more refreshes
            wait_for(lambda: two.get_sample_value("g", {"n": "quick"}), number)
        assert (len(calls), len(cancelled)) == (1, 1)
    finally:
        end.set()
    wait_until(lambda: two.get_sample_value("g", {"n": "stubborn"}) == number)
