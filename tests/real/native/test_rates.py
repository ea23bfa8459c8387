"""Queries over a time in which a histogram was observed, and lost resolution: nothing looks like a restart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import asyncmetrics
from tests.real.native.cases import ZERO, draw, follow_limits
from tests.real.native.expected import find_exact_quantile, find_quantile, list_buckets
from tests.servers.prometheus_server import Prometheus, make_job

pytestmark = [pytest.mark.real, pytest.mark.slow]

PAGE = Path(__file__).parents[3] / "docs/native_histograms.md"
MAX_BUCKETS = 20
PHASES = [draw(11, 111, 0.05), draw(12, 111, 1), draw(13, 111, 5)]
AMOUNTS = [amount for phase in PHASES for amount in phase]
QUANTILES = (0.1, 0.5, 0.9, 0.99)  # no rank of them is a whole number: those would be at the border of two buckets
EXPRESSION = "histogram_quantile({}, sum by (zone) (rate(live[1h])))"


@pytest.fixture(scope="module")
def live(start, generation) -> Iterator[Prometheus]:
    """A Prometheus that scraped histograms when they were empty, and after each phase.

    ``fine`` has no limit, and ``both`` classic buckets. ``full`` starts again from zero in the last phase: it has 4
    observations, and then 1.
    """
    registry = asyncmetrics.CollectorRegistry()
    options = {"native": True, "buckets": (), "registry": registry}
    child = asyncmetrics.Histogram("live", "L.", ["zone"], max_buckets=MAX_BUCKETS, **options).labels("eu")
    fine = asyncmetrics.Histogram("fine", "F.", max_buckets=None, **options)
    both = asyncmetrics.Histogram("both", "B.", native=True, buckets=[0.1, 0.25, 1], registry=registry)
    full = asyncmetrics.Histogram("full", "F.", max_buckets=4, min_reset_seconds=0.1, **options)
    server, thread = asyncmetrics.start_http_server(0, registry=registry)
    keeps_classic = {"always_scrape_classic_histograms": True} if generation.is_new else {}
    with start([{**make_job("live", f"http://127.0.0.1:{server.port}"), **keeps_classic}]) as prometheus:
        prometheus.wait_for("histogram_count(live) == 0", bool)
        count = 0
        for phase in PHASES:
            for amount in phase:
                child.observe(amount)
                fine.observe(amount)
                both.observe(amount)
            for exponent in range(4) if phase is PHASES[0] else ():
                full.observe(2.0**exponent)
            count += len(phase)
            prometheus.wait_for(f"histogram_count(live) == {count}", bool)
        prometheus.wait_for("histogram_count(full) == 4", bool)  # so that more than 0.1 s are over
        full.observe(100)
        prometheus.wait_for("histogram_count(full) == 1", bool)
        yield prometheus
    server.shutdown()
    thread.join()


def test_a_quantile_of_a_rate_is_that_of_all_observations(live, generation):
    buckets = list_buckets(AMOUNTS, *follow_limits(AMOUNTS, 5, MAX_BUCKETS))
    expected = {q: find_quantile(buckets, q, generation.rule) for q in QUANTILES}
    assert {q: live.value(EXPRESSION.format(q)) for q in QUANTILES} == pytest.approx(expected, rel=1e-9)


def test_the_resolution_was_lost_during_the_range():
    first, last = (follow_limits(amounts, 5, MAX_BUCKETS) for amounts in (PHASES[0], AMOUNTS))
    assert first == (5, ZERO)
    assert last[0] < 0


def test_less_resolution_is_no_restart(live):
    at = live.value("timestamp(live)")
    increases = [live.value(f"histogram_count(increase({name}[1h]))", at) for name in ("live", "fine")]
    assert increases[0] == pytest.approx(increases[1], rel=1e-9)
    # Not 0: created-timestamp-zero-ingestion (3.5) counts the zero at the start of each series for a reset.
    assert live.value("resets(live[1h])", at) == live.value("resets(fine[1h])", at)


def read_queries(kind: str) -> tuple[str, str]:
    """Return a classic query and the native one that replaces it, of the page's table, for the histogram ``both``."""
    (row,) = re.findall(rf"^\| {kind} \| `(.*)` \| `(.*)` \|$", PAGE.read_text(), re.M)
    classic, native = (re.sub(r"\bx(?=_|\[)", "both", query).replace("5m", "1h") for query in row)
    return classic, native


def test_the_queries_of_the_page_have_the_results_of_the_classic_ones(live, newer_only):
    at = live.value("timestamp(both)")
    found = {
        kind: [live.value(query, at) for query in read_queries(kind)]
        for kind in ("quantile", "rate", "average", "share within 250 ms")
    }
    # A rate is extrapolated beyond the first sample, of a classic histogram only as far as its count would be 0.
    for kind, tolerance in {"rate": 0.3, "average": 1e-9, "share within 250 ms": 0.02}.items():
        classic, native = found[kind]
        assert native == pytest.approx(classic, rel=tolerance), kind
    assert found["quantile"][0] == 1  # the last bound
    low, high = find_exact_quantile(AMOUNTS, 0.99)
    assert low / 1.1 <= found["quantile"][1] <= high * 1.1  # 160 buckets: the resolution has been halved


def test_a_native_query_of_the_page_needs_no_classic_buckets(live):
    for kind in ("quantile", "rate", "average", "share within 250 ms"):
        assert live.value(read_queries(kind)[1]) > 0, kind


def test_a_reset_is_a_restart_that_a_rate_understands(live):
    at = live.value("timestamp(full)")
    assert live.value("histogram_count(increase(full[1h]))", at) >= 4.9  # without the restart it would be about 1
