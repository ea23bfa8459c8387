"""Observable instruments are asked at each collection; one that fails or blocks costs nothing else."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator

import pytest
from opentelemetry.metrics import CallbackOptions, Observation

from asyncmetrics import Gauge, make_asgi_app
from asyncmetrics.bridges.opentelemetry import observing
from tests.patience import wait_until

pytestmark = pytest.mark.anyio
SOON = [(b"x-prometheus-scrape-timeout-seconds", b"0.2")]


@pytest.fixture
def errors(registry) -> Callable[[str], float | None]:
    return lambda name: registry.get_sample_value("asyncmetrics_collector_errors_total", {"collector": name})


def test_callbacks_may_be_functions_and_generators_and_several(meter, read, labels):
    options = []

    def function(given: CallbackOptions) -> list[Observation]:
        options.append(given)
        return [Observation(1, {"a": "function"})]

    def generator_function(given: CallbackOptions) -> Iterator[Observation]:
        yield Observation(2, {"a": "generator function"})
        yield Observation(3, {"b": "generator function"})

    def generator() -> Iterator[list[Observation]]:
        given = yield
        while True:
            options.append(given)
            given = yield [Observation(4, {"a": "generator"})]

    meter.create_observable_gauge("level", [function, generator_function, generator()])
    expected = {
        labels(a="function"): 1,
        labels(a="generator function"): 2,
        labels(b="generator function"): 3,
        labels(a="generator"): 4,
    }
    for _ in range(2):
        assert read("otel_level") == expected
    assert [type(one) for one in options] == [CallbackOptions] * 4
    assert options[0].timeout_millis > 0


def test_a_counter_has_what_its_callback_reports_and_never_falls(meter, read, labels):
    numbers = iter([5, 5, 7, 2, 3])
    meter.create_observable_counter("sent", [lambda options: [Observation(next(numbers), {"to": "x"})]])
    found = [read("otel_sent_total")[labels(to="x")] for _ in range(5)]
    assert found == [5, 5, 7, 9, 10]  # from the fourth on, the callback counts from zero


def test_an_observation_that_does_not_come_again_is_not_exposed(meter, read, labels):
    results = iter([[Observation(1, {"a": "1"}), Observation(2, {"a": "2"})], [Observation(3, {"a": "2"})], []])
    meter.create_observable_up_down_counter("active", [lambda options: next(results)])
    assert read("otel_active") == {labels(a="1"): 1, labels(a="2"): 2}
    assert read("otel_active") == {labels(a="2"): 3}
    assert read("otel_active") == {}


def raise_error(options: CallbackOptions) -> list[Observation]:
    raise ZeroDivisionError


async def be_async(options: CallbackOptions) -> list[Observation]:
    return []


def ended() -> Iterator[list[Observation]]:
    yield []


@pytest.mark.parametrize(
    "callback",
    [
        raise_error,
        be_async,
        ended(),
        7,
        lambda: [Observation(1)],
        lambda options: 7,
        lambda options: None,
        lambda options: ["x"],
        lambda options: [Observation("x")],
        lambda options: [Observation(1, {7: "x"})],
    ],
)
def test_a_callback_that_fails_is_counted_and_costs_no_other(meter, read, errors, labels, callback):
    meter.create_observable_gauge("level", [callback, lambda options: [Observation(1, {"a": "right"})]])
    meter.create_counter("calls").add(1)
    for _ in range(2):
        level = read("otel_level")
    assert (level, read("otel_calls_total")) == ({labels(a="right"): 1}, {frozenset(): 1})
    assert errors("otel_level") >= 1


def test_the_numbers_of_a_gauge_whose_callback_fails_are_not_exposed(meter, read):
    results: list[object] = [[Observation(1)], ZeroDivisionError(), [Observation(2)]]

    def callback(options: CallbackOptions) -> object:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    meter.create_observable_gauge("level", [callback])
    assert [read("otel_level") for _ in range(3)] == [{frozenset(): 1}, {}, {frozenset(): 2}]


def test_the_callbacks_of_a_second_instrument_of_the_name_are_asked_too(meter, read, labels):
    def ask(text: str) -> Callable[[CallbackOptions], list[Observation]]:
        return lambda options: [Observation(1, {"a": text})]

    one = ask("one")
    first = meter.create_observable_counter("sent", [one])
    second = meter.create_observable_counter("sent", [one, ask("two")])
    assert first is second
    assert read("otel_sent_total") == {labels(a="one"): 1, labels(a="two"): 1}


def test_an_observable_without_callbacks_has_no_series(meter, read):
    meter.create_observable_counter("sent")
    assert read("otel_sent_total") == {}


async def test_a_callback_that_blocks_costs_a_scrape_its_own_numbers_only(registry, meter, read, scrape, monkeypatch):
    monkeypatch.setattr(observing, "_LATE_SECONDS", 0.0)
    end = threading.Event()
    end.set()

    def callback(options: CallbackOptions) -> list[Observation]:
        end.wait()
        return [Observation(1)]

    meter.create_observable_gauge("level", [callback])
    meter.create_counter("calls").add(1)
    Gauge("own", "O.", registry=registry).set(1)
    assert read("otel_level") == {frozenset(): 1}
    end.clear()
    try:
        text = await scrape(make_asgi_app(registry), SOON)
    finally:
        end.set()
    assert "otel_level 1.0" not in text
    assert "otel_calls_total 1.0" in text
    assert "own 1.0" in text
    assert 'asyncmetrics_collector_errors_total{collector="otel_level"} 1.0' in text
    wait_until(lambda: read("otel_level"), lambda found: found == {frozenset(): 1})


def test_a_callback_is_asked_once_at_a_time(meter, read):
    begun, end, calls = threading.Event(), threading.Event(), []

    def callback(options: CallbackOptions) -> list[Observation]:
        calls.append(os.getpid())
        begun.set()
        end.wait()
        return [Observation(len(calls))]

    meter.create_observable_gauge("level", [callback])
    first = threading.Thread(target=read, args=("otel_level",))
    first.start()
    begun.wait()
    assert read("otel_level") == {}
    end.set()
    first.join()
    assert len(calls) == 1
