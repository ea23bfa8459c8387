"""A real Prometheus scrapes us, and its answers agree with what was sent."""

from __future__ import annotations

import time
from math import ceil
from typing import NamedTuple

import httpx
import pytest

# Rates, and how long a loop is held: one after the other.
pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.xdist_group("rates")]

COUNT = "http_server_request_duration_seconds_count"
BUCKET = "http_server_request_duration_seconds_bucket"
FAST_REQUESTS, SLOW_REQUESTS, LOST_REQUESTS = 60, 10, 5


class Traffic(NamedTuple):
    """When the last request was scraped, the seconds of a window that holds all, and how long slow requests took."""

    at: float
    window: int
    timed: list[float]


@pytest.fixture(scope="module")
def traffic(prometheus, shop):
    """Requests sent while the server scrapes, slow ones timed from outside, and when the last one was scraped.

    A scrape may fail on a busy machine, so this is the time of the samples. The window begins before the first request.
    """
    begun = time.time()
    prometheus.wait_for('up{job="shop"}', lambda rows: bool(rows) and rows[0]["value"][1] == "1")
    timed = []
    with httpx.Client(base_url=shop) as client:
        for route in ("/items/0", "/slow", "/nowhere"):  # a rate needs a sample before the first request it counts
            client.get(route)
        prometheus.wait_for(f'sum({COUNT}{{job="shop"}})', lambda rows: bool(rows) and float(rows[0]["value"][1]) >= 3)
        for number in range(FAST_REQUESTS):
            assert client.get(f"/items/{number}").status_code == 200
        for _ in range(SLOW_REQUESTS):
            start = time.perf_counter()
            client.get("/slow")
            timed.append(time.perf_counter() - start)
        for number in range(LOST_REQUESTS):
            assert client.get(f"/nowhere/{number}").status_code == 404
    total = FAST_REQUESTS + SLOW_REQUESTS + LOST_REQUESTS + 3
    latest = f'max(timestamp({COUNT}{{job="shop"}})) and (sum({COUNT}{{job="shop"}}) == {total})'
    (row,) = prometheus.wait_for(latest, bool)
    at = float(row["value"][1])
    return Traffic(at, max(60, ceil(at - begun) + 10), timed)


@pytest.mark.parametrize("job", ["shop", "own_port"])
def test_every_target_is_up(prometheus, job):
    prometheus.wait_for(f'up{{job="{job}"}}', lambda rows: bool(rows) and rows[0]["value"][1] == "1")


def test_the_rate_by_route_agrees_with_the_requests_sent(prometheus, traffic):
    at, window, _ = traffic
    rate = f'sum by (route) (rate({COUNT}{{job="shop"}}[{window}s]))'
    increase = prometheus.by("route", f"{rate} * {window}", at)
    # rate() extrapolates to the window's edges; increase over raw samples would be exact, as the next test shows. It
    # adds 1.1 times the mean distance of two samples at most at either end, which is long where scrapes failed.
    ((_, samples),) = prometheus.by(
        "job", f'min by (job) (count_over_time({COUNT}{{job="shop"}}[{window}s]))', at
    ).items()
    rel = max(0.2, 2.2 / (samples - 1))
    assert increase["/items/{item}"] / increase["/slow"] == pytest.approx(FAST_REQUESTS / SLOW_REQUESTS, rel=0.2)
    assert increase["<unmatched>"] / increase["/slow"] == pytest.approx(LOST_REQUESTS / SLOW_REQUESTS, rel=0.2)
    assert increase["/items/{item}"] == pytest.approx(FAST_REQUESTS, rel=rel)


def test_the_counts_by_route_and_status_are_exact(prometheus, traffic):
    at = traffic.at
    rows = prometheus.query(f'{COUNT}{{job="shop"}}', at)
    counts = {
        (row["metric"]["method"], row["metric"]["route"], row["metric"]["status"]): float(row["value"][1])
        for row in rows
    }
    assert counts == {
        ("GET", "/items/{item}", "200"): FAST_REQUESTS + 1,
        ("GET", "/slow", "200"): SLOW_REQUESTS + 1,
        ("GET", "<unmatched>", "404"): LOST_REQUESTS + 1,
    }


@pytest.mark.parametrize("quantile", [0.05, 0.5, 0.95])
def test_the_quantile_from_our_buckets_brackets_the_true_latency(prometheus, traffic, quantile):
    """Every true latency lies in the buckets from that of the shortest to that of the longest, and so must an estimate.

    The shortest is in the bucket from 0.1 s to 0.25 s, and so is the longest unless the machine is busy.
    """
    at, window, timed = traffic
    rows = prometheus.query(f'{BUCKET}{{job="shop",route="/slow"}}', at)
    bounds = sorted(float(row["metric"]["le"]) for row in rows)
    upper = next(bound for bound in bounds if bound >= max(timed))
    expression = f'histogram_quantile({quantile}, sum by (le) (rate({BUCKET}{{job="shop",route="/slow"}}[{window}s])))'
    ((_, estimate),) = prometheus.by("job", expression, at).items()
    assert 0.1 < min(timed)
    assert 0.1 <= estimate <= upper


def test_the_busiest_routes_are_found(prometheus, traffic):
    rate = f'sum by (route) (rate({COUNT}{{job="shop"}}[{traffic.window}s]))'
    top = prometheus.by("route", f"topk(10, {rate})", traffic.at)
    assert max(top, key=top.__getitem__) == "/items/{item}"
    assert set(top) == {"/items/{item}", "/slow", "<unmatched>"}


def test_nothing_is_in_progress_when_nothing_is(prometheus, traffic):
    active = prometheus.query('http_server_active_requests{job="shop"}', traffic.at)
    assert [row["metric"] for row in active if row["value"][1] != "0"] == []


def test_labels_that_need_escaping_arrive_as_they_were_set(prometheus):
    rows = prometheus.wait_for('odd_labels{job="own_port"}', lambda rows: len(rows) == 5)
    assert {row["metric"]["text"] for row in rows} == {'a"b', "c\\d", "e\nf", "schön", "# EOF"}


def test_the_types_and_the_help_arrive(prometheus, traffic):
    metadata = prometheus.get("/api/v1/metadata")
    assert metadata["http_server_request_duration_seconds"][0]["type"] == "histogram"
    assert metadata["odd_labels"][0] == {"type": "gauge", "help": "Labels \\ and\nhelp that need escaping.", "unit": ""}


def test_the_start_time_of_the_process_arrives(prometheus):
    rows = prometheus.wait_for('process_start_time_seconds{job="shop"}', bool)
    assert abs(float(rows[0]["value"][1]) - time.time()) < 24 * 3600


def test_what_prometheus_scrapes_is_openmetrics(prometheus, shop):
    """With the very Accept header of the running server's generation."""
    from asyncmetrics.formats.reading.openmetrics import parse_openmetrics

    accept = (
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
        "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    )
    answer = httpx.get(f"{shop}/metrics", headers={"Accept": accept})
    assert answer.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert {family.name for family in parse_openmetrics(answer.text)} >= {"http_server_request_duration_seconds"}
