"""What a registry and an exposition declare, as a query of Prometheus sees it."""

from __future__ import annotations

import pytest

from asyncmetrics import Counter, Enum, Gauge, Histogram, Info, Summary, generate_latest
from asyncmetrics.bridges.scraping import Exposition
from asyncmetrics.core import GaugeMetricFamily
from asyncmetrics.dashboards.declared import read_declared
from asyncmetrics.errors import ParseError

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def _read(source):
    return {one.name: one for one in read_declared(source)}


def test_a_registry_declares_labels_that_have_no_child_yet(registry):
    Counter("orders", "Orders.", ["kind"], context_labels=["tenant"], registry=registry)
    found = _read(registry)["orders"]
    assert (found.kind, found.help, found.labels) == ("counter", "Orders.", {"kind", "tenant"})
    assert found.samples == {"orders_total"}


def test_a_text_without_samples_does_not_say_which_labels_there_are(registry):
    Counter("orders", "Orders.", ["kind"], registry=registry)
    found = _read(Exposition(generate_latest(registry).decode()))["orders"]
    assert (found.labels, found.samples) == (None, {"orders_total"})


def test_the_labels_of_a_text_are_those_of_its_samples(declare):
    assert declare('# TYPE a gauge\na{x="1"} 1\na{y="1"} 1\n')["a"].labels == {"x", "y"}


def test_the_own_labels_of_histograms_and_summaries_are_left_out(declare):
    found = declare(
        '# TYPE h histogram\nh_bucket{le="+Inf",a="1"} 1\nh_count{a="1"} 1\nh_sum{a="1"} 1\n'
        '# TYPE s summary\ns{quantile="0.5"} 1\ns_count 1\ns_sum 1\n'
    )
    assert (found["h"].labels, found["s"].labels) == ({"a"}, set())
    assert found["s"].has_quantiles


def test_a_gauge_may_have_a_label_le(declare):
    assert declare('# TYPE a gauge\na{le="1"} 1\n')["a"].labels == {"le"}


def test_a_counter_of_a_foreign_text_keeps_its_name_without_total(declare):
    """Prometheus stores it so; the parser of prometheus_client adds the suffix."""
    assert declare("# TYPE a counter\na 1\n")["a"].samples == {"a"}


def test_a_counter_of_openmetrics_has_the_suffix(declare):
    assert declare("# TYPE a counter\na_total 1\n# EOF\n", OPENMETRICS)["a"].samples == {"a_total"}


@pytest.mark.parametrize("metric", [Info, Enum])
def test_infos_and_enums_are_found_in_the_text_format_that_calls_them_gauges(registry, metric):
    if metric is Info:
        Info("it", "Help.", registry=registry).info({"version": "1"})
    else:
        Enum("it", "Help.", states=["up", "down"], registry=registry)
    from_text = _read(Exposition(generate_latest(registry).decode()))["it"]
    assert from_text == _read(registry)["it"]


def test_created_times_are_no_metrics_of_their_own(declare):
    assert list(declare("# TYPE a_total counter\na_total 1\n# TYPE a_created gauge\na_created 1\n")) == ["a"]


def test_a_gauge_that_is_called_created_is_one(declare):
    assert list(declare("# TYPE files_created gauge\nfiles_created 1\n")) == ["files_created"]


def test_a_histogram_with_negative_bounds_has_no_sum(registry):
    Histogram("change", "Change.", buckets=[-1, 1], registry=registry)
    assert _read(registry)["change"].samples == {"change_bucket", "change_count"}


def test_labels_of_the_target_have_the_names_that_prometheus_gives_them(declare):
    assert declare('# TYPE a gauge\na{job="x",instance="y"} 1\n')["a"].labels == {"exported_job", "exported_instance"}


def test_metrics_of_each_worker_have_its_label(registry):
    Counter("jobs", "Jobs.", per_worker=True, registry=registry)
    assert _read(registry)["jobs"].has("worker")


def test_names_are_escaped_as_prometheus_asks_for_it(registry):
    Counter("shop.orders", "Orders.", ["order.kind"], registry=registry)
    [native] = read_declared(registry)
    [legacy] = read_declared(registry, "underscores")
    assert (native.samples, native.labels) == ({"shop.orders_total"}, {"order.kind"})
    assert (legacy.samples, legacy.labels) == ({"shop_orders_total"}, {"order_kind"})


def test_custom_collectors_are_read_as_well(registry):
    class Collector:
        def collect(self):
            family = GaugeMetricFamily("rooms", "Rooms.", labels=["floor"])
            family.add_metric(["1"], 3)
            yield family

    registry.register(Collector())
    assert _read(registry)["rooms"].labels == {"floor"}


def test_a_registry_is_not_changed_by_reading(registry):
    Gauge("a", "A.", ["x"], registry=registry)
    Summary("s", "S.", registry=registry)
    before = generate_latest(registry)
    read_declared(registry)
    assert generate_latest(registry) == before


def test_an_empty_exposition_declares_nothing(declare):
    assert declare("") == {}


def test_a_broken_exposition_is_refused_with_its_line(declare):
    with pytest.raises(ParseError, match="line 2"):
        declare("a 1\nb{ 1\n")
