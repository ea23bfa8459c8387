"""Texts that no server should send are read without an error of the page, whatever they have in them."""

from __future__ import annotations

import random

import pytest

from tests.real.live.conftest import Upstream

pytestmark = pytest.mark.real

BASES = (
    "http_server_request_duration_seconds",
    "http_server_active_requests",
    "http_server_oldest_active_request_seconds",
    "http_client_request_duration_seconds",
    "db_client_connection_count",
    "thread_pool_threads",
    "queue_length",
    "event_loop_lag_seconds",
    "event_loop_blocked_seconds_total",
    "event_loop_tasks",
    "log_records_total",
    "periodic_interval_seconds",
    "health_check_up",
    "heartbeat_interval_seconds",
    "batch_job_last_run_timestamp_seconds",
    "process_cpu_seconds_total",
    "shop_errors_total",
    "own_info",
    "constructor",
    "__proto__",
)
SUFFIXES = ("", "", "_bucket", "_bucket", "_count", "_sum", "_total", "_created", "_info", "_gcount")
TYPES = ("counter", "gauge", "histogram", "summary", "info", "constructor", "__proto__", "toString", "", "untyped")
LABELS = ("method", "route", "status", "le", "quantile", "worker", "level", "function", "state", "__proto__", "pool")
LABELS += ("queue", "check", "periodic", "heartbeat", "batch_job", "constructor", "coroutine", "logger")
VALUES = (
    "",
    "NaN",
    "+Inf",
    "-Inf",
    "0.5",
    "1e999",
    "constructor",
    "__proto__",
    "500",
    "GET",
    "x" * 400,
    "2",
    "busy",
    "-1",
)
NUMBERS = ("NaN", "+Inf", "-Inf", "0", "1", "-3", "1e308", "1e-320", "17", "1.8e9", "x", "")


def _write_text(rng: random.Random) -> str:
    lines = []
    for _ in range(150):
        base = rng.choice(BASES)
        if rng.random() < 0.3:
            lines.append(f"# TYPE {base} {rng.choice(TYPES)}")
            continue
        pairs = ",".join(f'{label}="{rng.choice(VALUES)}"' for label in rng.sample(LABELS, rng.randrange(5)))
        lines.append(f"{base}{rng.choice(SUFFIXES)}{{{pairs}}} {rng.choice(NUMBERS)}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("kind", ["text/plain", "application/openmetrics-text"])
def test_random_texts_of_hostile_parts_are_shown_without_an_error(open_page, kind):
    rng = random.Random(18)
    view = open_page(Upstream(_write_text(rng), content_type=kind))
    for _ in range(12):
        view.read(_write_text(rng))
        problem = view.find("#problem")
        assert problem.is_hidden(), (problem.inner_text(), view.upstream.text)


@pytest.mark.parametrize("kind", ["constructor", "__proto__", "toString"])
def test_a_type_that_is_a_name_of_the_language_is_no_type(open_page, kind):
    view = open_page(Upstream(f"# TYPE apples {kind}\napples_total 1\n"))
    assert view.find("#problem").is_hidden()
    assert view.list_cells("metrics")[-1][:2] == ["apples_total", "unknown"]


def test_a_bucket_without_a_number_is_left_out(open_page):
    text = """# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_bucket{{route="/",le="NaN"}} {0}
http_server_request_duration_seconds_bucket{{route="/",le="1"}} {0}
http_server_request_duration_seconds_bucket{{route="/",le="+Inf"}} {0}
http_server_request_duration_seconds_count{{route="/"}} {0}
""".format
    view = open_page(Upstream(text(1)))
    view.read(text(3))
    assert view.find("#problem").is_hidden()
    assert view.get_row("routes", "/")["p50"] == "500 ms"


@pytest.mark.parametrize("number", [1, 300_000])
def test_the_largest_of_many_numbers_is_found(run_script, number):
    assert run_script("(number) => findLargest([NaN, Infinity, ...Array(number).keys(), -1])", number) == number - 1


def test_there_is_no_largest_of_no_number(run_script):
    assert run_script("() => findLargest([NaN, Infinity])") == "NaN"
