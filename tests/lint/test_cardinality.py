"""Series by metric and by label."""

from __future__ import annotations

import pytest

from asyncmetrics import Counter, Gauge, Histogram, Summary, generate_latest
from asyncmetrics.bridges.scraping import Exposition
from asyncmetrics.lint.cardinality import count_series
from asyncmetrics.lint.subjects import Subject, describe_exposition


def _describe(text: str) -> list[Subject]:
    return describe_exposition(Exposition(text))


@pytest.fixture
def found(registry):
    orders = Counter("orders", "Orders.", ["user", "status"], registry=registry)
    for user in range(100):
        orders.labels(f"u{user}", "ok").inc()
        orders.labels(f"u{user}", "failed").inc()
    durations = Histogram("job_seconds", "Jobs.", ["kind"], buckets=[1, 2], registry=registry)
    durations.labels("a").observe(1)
    durations.labels("b").observe(1)
    Gauge("size", "Size.", ["kind"], registry=registry)
    return count_series(describe_exposition(registry))


def test_series_are_counted_as_a_server_stores_them(found):
    assert found.series == 200 + 2 * 5


def test_the_metric_with_most_series_comes_first(found):
    assert [(metric.name, metric.series) for metric in found.metrics] == [
        ("orders_total", 200),
        ("job_seconds", 10),
        ("size", 0),
    ]


def test_the_label_that_saves_most_comes_first(found):
    assert [(label.name, label.values, label.saves) for label in found.metrics[0].labels] == [
        ("user", 100, 198),
        ("status", 2, 100),
    ]


def test_a_histogram_cannot_do_without_its_buckets(found):
    by_name = {label.name: label for label in found.metrics[1].labels}
    assert (by_name["le"].values, by_name["le"].saves) == (3, 0)


def test_the_values_with_most_series_are_those_of_all_metrics(found):
    by_name = {label.name: label for label in found.labels}
    assert by_name["kind"].top == (("a", 5), ("b", 5))
    assert by_name["status"].top == (("failed", 100), ("ok", 100))


def test_the_advice_names_the_label_and_what_it_saves(found):
    assert found.metrics[0].advice == "without the label user there are 198 fewer series"


def test_the_advice_for_a_histogram_says_what_a_bucket_costs(found):
    assert found.metrics[1].advice == "without the label kind there are 5 fewer series, and one bucket less saves 2"


def test_a_metric_with_one_series_has_no_advice():
    (metric,) = count_series(_describe('a{user="x"} 1\n')).metrics
    assert metric.advice == ""


def test_the_quantiles_of_a_summary_are_no_advice():
    text = '# TYPE s summary\ns{quantile="0.5"} 1\ns{quantile="0.9"} 1\ns_sum 1\ns_count 1\n'
    (metric,) = count_series(_describe(text)).metrics
    assert (metric.series, metric.labels[0].saves, metric.advice) == (4, 0, "")


def test_a_series_that_occurs_twice_is_one():
    assert count_series(_describe("a 1\na 2\n")).series == 1


def test_nothing_has_no_series():
    assert count_series([]).series == 0


def test_the_number_of_values_is_bounded(registry):
    gauge = Gauge("x", "X.", ["a"], registry=registry)
    for number in range(20):
        gauge.labels(number).set(1)
    assert len(count_series(describe_exposition(registry), top=7).labels[0].top) == 7


def test_a_summary_of_a_registry_has_two_series(registry):
    Summary("s", "S.", registry=registry)
    assert count_series(describe_exposition(registry)).series == 2


def test_a_native_histogram_has_the_series_of_a_text(registry):
    Histogram("both_seconds", "B.", buckets=[1, 2], native=True, registry=registry).observe(1)
    Histogram("alone_seconds", "A.", buckets=(), native=True, registry=registry).observe(1)
    found = count_series(describe_exposition(registry))
    text = count_series(_describe(generate_latest(registry).decode()))
    assert [(metric.name, metric.series) for metric in found.metrics] == [("both_seconds", 5), ("alone_seconds", 3)]
    assert (text.series, text.metrics) == (found.series, found.metrics)
    assert [metric.advice for metric in found.metrics if metric.name == "alone_seconds"] == [""]
