"""The lines of the demo's table for what no request shows, computed from two expositions."""

from __future__ import annotations

from asyncmetrics import Counter, Gauge, Histogram, generate_latest
from examples.demo.inside import list_lines
from examples.demo.snapshot import Snapshot, parse


def _read(registry, at: float) -> Snapshot:
    snapshot = parse(generate_latest(registry).decode())
    snapshot.at = at
    return snapshot


def _lines(first: Snapshot, last: Snapshot) -> list[tuple[str, str]]:
    return list(list_lines(last, last.subtract(first)))


def test_the_loop_is_as_busy_as_in_the_window_and_not_before(registry):
    busy = Counter("event_loop_busy_seconds_total", "Busy.", registry=registry)
    busy.inc(100)
    first = _read(registry, at=50)
    busy.inc(2)
    assert _lines(first, _read(registry, at=60)) == [("event loop", "20% busy, lag p99 ·")]


def test_the_lag_is_a_quantile_of_the_window(registry):
    Counter("event_loop_busy_seconds_total", "Busy.", registry=registry)
    lag = Histogram("event_loop_lag_seconds", "Lag.", buckets=[1, 2, 4], registry=registry)
    lag.observe(0.5)
    first = _read(registry, at=50)
    lag.observe(3)
    assert _lines(first, _read(registry, at=60)) == [("event loop", "0% busy, lag p99 3980 ms")]


def test_each_function_that_has_blocked_in_the_window_has_a_line_with_its_share(registry):
    blocked = Counter("event_loop_blocked_seconds_total", "Blocked.", ["function"], registry=registry)
    blocked.labels("shop:long_ago").inc(1)
    first = _read(registry, at=50)
    blocked.labels("shop:pay").inc(5)
    blocked.labels("shop:count").inc(1)
    lines = _lines(first, _read(registry, at=60))
    assert lines == [("", "10% blocked by shop:count"), ("", "50% blocked by shop:pay")]


def test_a_queue_has_its_length_now_and_a_dot_while_nothing_left_it(registry):
    length = Gauge("queue_length", "Length.", ["queue"], registry=registry)
    length.labels("orders").set(7)
    first = _read(registry, at=50)
    length.labels("orders").set(3)
    lines = _lines(first, _read(registry, at=60))
    assert lines == [("queue orders", "length 3, time in it p50 ·, p95 ·")]


def test_a_first_reading_shows_no_increase(registry):
    Counter("event_loop_busy_seconds_total", "Busy.", registry=registry).inc(9)
    first = _read(registry, at=50)
    assert _lines(first, first) == [("event loop", "0% busy, lag p99 ·")]


def test_an_application_without_a_monitor_has_no_lines(registry):
    Counter("orders_total", "Orders.", registry=registry).inc()
    first = _read(registry, at=50)
    assert _lines(first, first) == []
