"""The lines of `top` for what no request shows, computed from two expositions."""

from __future__ import annotations

import re

from asyncmetrics import Counter, Gauge, Histogram, generate_latest
from asyncmetrics.bridges.scraping import Exposition
from asyncmetrics.cli.table.inside import list_lines
from asyncmetrics.cli.table.snapshots import Snapshot, read_snapshot


def _read(registry, at: float) -> Snapshot:
    return read_snapshot(Exposition(generate_latest(registry).decode()).parse(), at)


def _lines(first: Snapshot, last: Snapshot) -> list[tuple[str, str]]:
    return [line[:2] for line in list_lines(last, last.subtract(first))]


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


def test_a_queue_of_several_workers_has_one_line_with_its_whole_length_and_the_times_of_all(registry):
    length = Gauge("queue_length", "Length.", ["queue", "worker"], registry=registry)
    items = Histogram("queue_item_seconds", "Time.", ["queue"], buckets=[0.1, 1], registry=registry)
    length.labels("orders", "0").set(2)
    length.labels("orders", "1").set(3)
    items.labels("orders")
    first = _read(registry, at=50)
    items.labels("orders").observe(0.05)
    lines = _lines(first, _read(registry, at=60))
    assert lines == [("queue orders", "length 5, time in it p50 50 ms, p95 95 ms")]


def test_the_heartbeats_of_several_workers_are_told_apart(registry):
    names = ["heartbeat", "worker"]
    beat = Gauge("heartbeat_last_timestamp_seconds", "Last.", names, registry=registry)
    beat.labels("consumer", "0").set_to_current_time()
    beat.labels("consumer", "1").set(0)
    first, second = _lines(_read(registry, at=50), _read(registry, at=60))
    assert first[0] == "heartbeat consumer (worker 0)"
    assert second == ("heartbeat consumer (worker 1)", "last beat never")


def test_a_first_reading_shows_no_increase(registry):
    Counter("event_loop_busy_seconds_total", "Busy.", registry=registry).inc(9)
    first = _read(registry, at=50)
    assert _lines(first, first) == [("event loop", "0% busy, lag p99 ·")]


def test_an_application_without_a_monitor_has_no_lines(registry):
    Counter("orders_total", "Orders.", registry=registry).inc()
    first = _read(registry, at=50)
    assert _lines(first, first) == []


def test_the_process_has_its_share_of_a_processor_in_the_window(registry):
    cpu = Counter("process_cpu_seconds_total", "CPU.", registry=registry)
    Gauge("process_resident_memory_bytes", "Memory.", registry=registry).set(85_000_000)
    cpu.inc(100)
    first = _read(registry, at=50)
    cpu.inc(5)
    assert _lines(first, _read(registry, at=60)) == [("process", "50% of a CPU, 85MB of memory")]


def test_each_worker_has_its_own_line(registry):
    busy = Counter("event_loop_busy_seconds_total", "Busy.", ["worker"], registry=registry)
    busy.labels("1"), busy.labels("0")
    first = _read(registry, at=50)
    busy.labels("1").inc(9)
    assert _lines(first, _read(registry, at=60)) == [
        ("event loop 0", "0% busy, lag p99 ·"),
        ("event loop 1", "90% busy, lag p99 ·"),
    ]


def test_the_ages_of_jobs_and_heartbeats_are_shown_and_one_that_never_came(registry):
    success = Gauge("shop_periodic_last_success_timestamp_seconds", "Last.", ["periodic"], registry=registry)
    success.labels("never").set(0)
    success.labels("now").set_to_current_time()
    never, now = _lines(_read(registry, at=50), _read(registry, at=60))
    assert never == ("job never", "last success never")
    assert re.fullmatch(r"last success \d+\.\d s ago", now[1])


def test_clients_are_shown_by_where_they_call(registry):
    names = ["system", "operation", "outcome"]
    calls = Histogram("db_client_operation_duration_seconds", "Time.", names, buckets=[0.1, 1], registry=registry)
    calls.labels("sqlite", "SELECT", "ok")
    first = _read(registry, at=50)
    for outcome in ("ok", "error"):
        calls.labels("sqlite", "SELECT", outcome).observe(0.05)
    assert _lines(first, _read(registry, at=60)) == [("database sqlite SELECT", "0.2 calls/s, p50 50 ms, p95 95 ms")]


def test_a_gauge_of_another_library_with_the_same_name_has_no_line(registry):
    Gauge("celery_queue_length", "Length.", ["queue_name"], registry=registry).labels("mail").set(3)
    assert _lines(_read(registry, at=50), _read(registry, at=60)) == []
