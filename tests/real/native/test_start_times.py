"""Prometheus 3.5 with created-timestamp-zero-ingestion stores a zero at the start of a series."""

from __future__ import annotations

import time
from collections.abc import Iterator
from unittest.mock import patch

import pytest

import asyncmetrics
from tests.servers.prometheus_server import Prometheus, make_job

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def born(start, newer_only) -> Iterator[Prometheus]:
    """A Prometheus that has scraped series that were born above zero, twice."""
    registry = asyncmetrics.CollectorRegistry()
    asyncmetrics.Counter("jobs_total", "Jobs.", registry=registry).inc(5)
    summary = asyncmetrics.Summary("waits", "Waits.", registry=registry)
    classic = asyncmetrics.Histogram("classic", "Sizes.", buckets=[1], registry=registry)
    native = asyncmetrics.Histogram("native", "Sizes.", native=True, buckets=(), registry=registry)
    for _ in range(5):
        summary.observe(2)
        classic.observe(0.5)
        native.observe(0.5)
    server, thread = asyncmetrics.start_http_server(0, registry=registry)
    with start([make_job("born", f"http://127.0.0.1:{server.port}")]) as prometheus:
        prometheus.wait_for('count_over_time(up{job="born"}[1h]) >= 2', bool)
        yield prometheus
    server.shutdown()
    thread.join()


@pytest.mark.parametrize(
    "series", ["jobs_total", "waits_count", "classic_count", 'classic_bucket{le="1.0"}'], ids=lambda text: text[:13]
)
def test_the_increase_of_a_series_that_is_born_at_5_is_5(born, series):
    at = born.value(f"timestamp({series})")
    assert born.value(f"increase({series}[1h])", at) == pytest.approx(5)


def test_a_native_histogram_that_is_born_with_5_observations_begins_at_0(born):
    (row,) = born.query("native[1h]")
    assert [float(histogram["count"]) for _, histogram in row["histograms"]][:2] == [0, 5]
    at = born.value("timestamp(native)")
    assert born.value("histogram_count(increase(native[1h]))", at) >= 5  # extrapolated to before the start


def test_the_sum_has_its_zero_as_well(born):
    at = born.value("timestamp(waits_sum)")
    assert born.value("increase(waits_sum[1h])", at) == pytest.approx(10)


def test_a_native_histogram_that_is_hours_old_does_not_end_the_server(start, newer_only):
    """Prometheus 3.5 ends if it reads a start that is older than an hour: issue 16318."""
    registry = asyncmetrics.CollectorRegistry()
    before = time.time() - 7200
    with patch.object(time, "time", lambda: before):
        old = asyncmetrics.Histogram("old", "Sizes.", native=True, registry=registry)
    old.observe(0.5)
    server, thread = asyncmetrics.start_http_server(0, registry=registry)
    with start([make_job("old", f"http://127.0.0.1:{server.port}")]) as prometheus:
        prometheus.wait_for('count_over_time(up{job="old"}[1h]) >= 3', bool)
        assert prometheus.value("histogram_count(old)") == 1
    server.shutdown()
    thread.join()
