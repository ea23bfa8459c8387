"""What each generation stores by its settings, as the table of docs/native_histograms.md says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import asyncmetrics
from tests.servers.prometheus_server import Prometheus, make_job

pytestmark = [pytest.mark.real, pytest.mark.slow]

TEXT = {"scrape_protocols": ["OpenMetricsText1.0.0", "PrometheusText0.0.4"]}
PROTOBUF = {"scrape_protocols": ["PrometheusProto", "OpenMetricsText1.0.0", "PrometheusText0.0.4"]}
CLASSIC = {"always_scrape_classic_histograms": True}
CLASSIC_ROWS = {"both_bucket", "both_count", "both_sum"}
TEXT_ROWS = CLASSIC_ROWS | {"only_bucket", "only_count", "only_sum"}


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    registry = asyncmetrics.CollectorRegistry()
    for name, buckets in (("both", [1.0]), ("only", ())):
        asyncmetrics.Histogram(name, "H.", native=True, buckets=buckets, registry=registry).observe(0.5)
    asyncmetrics.Gauge("queue.größe", "In the letters of UTF-8.", registry=registry).set(1)
    server, thread = asyncmetrics.start_http_server(0, registry=registry)
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()


@pytest.fixture(scope="module")
def without_feature(start, generation, target) -> Iterator[Prometheus]:
    jobs = {"default": {}, "protobuf": PROTOBUF, "protobuf_classic": PROTOBUF | CLASSIC}
    with start(make_jobs(target, jobs, generation), features="") as server:
        yield server


@pytest.fixture(scope="module")
def with_feature(start, generation, target) -> Iterator[Prometheus]:
    with start(make_jobs(target, {"default": {}, "text": TEXT, "classic": CLASSIC}, generation)) as server:
        yield server


def make_jobs(target, settings, generation):
    """Return a job for each of the settings; 2.42 knows the default ones only."""
    known = settings if generation.is_new else {"default": {}}
    return [{**make_job(name, target), **setting} for name, setting in known.items()]


def read_names(prometheus: Prometheus, job: str) -> set[str]:
    """Return the names of the series that the job's first scrape stored."""
    prometheus.wait_for(f'up{{job="{job}"}} == 1', bool)
    assert prometheus.faults() == {}
    return {row["metric"]["__name__"] for row in prometheus.query(f'{{job="{job}",__name__=~"both.*|only.*"}}')}


def test_without_the_feature_there_are_the_series_of_the_text_formats(without_feature):
    assert read_names(without_feature, "default") == TEXT_ROWS
    (row,) = without_feature.query('only_bucket{job="default"}')
    assert (row["metric"]["le"], row["value"][1]) == ("+Inf", "1")


def test_with_the_feature_native_histograms_replace_the_classic_ones(with_feature):
    assert read_names(with_feature, "default") == {"both", "only"}


def test_3_5_keeps_the_classic_buckets_if_it_is_told_to(with_feature, newer_only):
    assert read_names(with_feature, "classic") == {"both", "only", *CLASSIC_ROWS}


def test_3_5_stores_no_native_histogram_if_a_job_scrapes_text(with_feature, newer_only):
    assert read_names(with_feature, "text") == TEXT_ROWS


@pytest.mark.parametrize("job", ["default", "text"])
def test_3_5_stores_a_name_of_any_letters_as_it_is_from_text_and_from_protobuf(with_feature, newer_only, job):
    (row,) = with_feature.wait_for(f'{{job="{job}",__name__=~"queue.*"}}', bool)
    assert row["metric"]["__name__"] == "queue.größe"


def test_3_5_stores_nothing_of_a_histogram_that_comes_in_protobuf_without_the_feature(without_feature, newer_only):
    assert read_names(without_feature, "protobuf") == set()
    assert read_names(without_feature, "protobuf_classic") == CLASSIC_ROWS


def test_3_5_asks_for_protobuf_because_of_start_times_alone(start, target, newer_only):
    with start([make_job("start_times", target)], features="created-timestamp-zero-ingestion") as prometheus:
        assert read_names(prometheus, "start_times") == set()
