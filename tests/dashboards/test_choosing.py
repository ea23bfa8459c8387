"""Which panels a source gets: those of the table, by its own names, and panels by kind for everything else."""

from __future__ import annotations

import re

import pytest

from asyncmetrics import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, MetricsMiddleware, Summary
from asyncmetrics.bridges.scraping import Exposition
from asyncmetrics.core import GaugeHistogramMetricFamily
from asyncmetrics.dashboards.declared import Declared, read_declared
from asyncmetrics.dashboards.panels.choosing import choose_rows
from asyncmetrics.dashboards.panels.subjects import KNOWN_SAMPLES, ROWS_AFTER_OWN, ROWS_BEFORE_OWN
from asyncmetrics.dashboards.promql import Dialect
from scripts.dashboards import RECORDED

EVERYTHING = read_declared(Exposition(RECORDED.read_text(encoding="utf-8")))
DIALECT = Dialect("5m", {"job": '=~"$job"'})


def _expressions(panels, title):
    return [target["expr"] for target in panels[title]["targets"]]


async def _app(scope, receive, send): ...


def test_an_application_has_the_rows_of_what_it_declares_and_no_others(panels, registry):
    MetricsMiddleware(_app, registry=registry)
    found = panels(registry)
    assert "p95 by route" in found
    assert {"Checks", "Lag (p99)", "Connections of databases", "Time to first byte (p95)"}.isdisjoint(found)


def test_a_source_without_metrics_has_no_rows():
    assert choose_rows([], DIALECT) == []


def test_the_prefix_of_the_middleware_is_found(panels, registry):
    MetricsMiddleware(_app, registry=registry, namespace="shop")
    [expression] = _expressions(panels(registry), "Requests by route (shop)")
    assert expression.startswith("sum by (route) (rate(shop_http_server_request_duration_seconds_count{")


def test_the_prefix_is_found_in_a_text_that_has_no_request_yet(panels):
    found = panels("# TYPE shop_http_server_request_duration_seconds histogram\n")
    assert "p95 by route (shop)" in found
    assert 'route=~"$route"' in _expressions(found, "p95 by route (shop)")[0]


def test_two_applications_in_one_registry_have_panels_of_their_own(panels, registry):
    MetricsMiddleware(_app, registry=registry, namespace="shop")
    MetricsMiddleware(_app, registry=registry, namespace="admin")
    assert {"p95 by route (shop)", "p95 by route (admin)"} <= panels(registry).keys()


def test_the_conventions_of_opentelemetry_are_found(panels, registry):
    MetricsMiddleware(_app, registry=registry, conventions="opentelemetry")
    found = panels(registry)
    [failures] = _expressions(found, "Failures by route")
    assert "by (http_route)" in failures
    assert 'http_response_status_code=~"5.."' in failures
    assert found["Exceptions"]["targets"][0]["legendFormat"] == "{{error_type}} in {{http_route}}"
    assert 'http_route=~"$route"' in failures


def test_requests_that_have_no_route_as_in_other_libraries_are_not_filtered_by_it(panels):
    text = '# TYPE http_server_active_requests gauge\nhttp_server_active_requests{http_request_method="GET"} 1\n'
    assert "$route" not in _expressions(panels(text), "Active requests by route")[0]


def test_a_panel_leaves_out_the_queries_whose_metrics_are_missing(panels):
    found = panels('# TYPE queue_length gauge\nqueue_length{queue="a"} 1\n')
    assert len(found["Items in queues"]["targets"]) == 1


def test_a_metric_with_a_general_name_of_ours_but_another_meaning_is_the_users_own(panels):
    found = panels('# TYPE queue_length gauge\nqueue_length{checkout="1"} 1\n')
    assert list(found) == ["queue_length"]


def test_a_metric_whose_name_ends_as_one_of_ours_is_the_users_own(panels):
    found = panels('# TYPE print_queue_length gauge\nprint_queue_length{printer="1"} 1\n')
    assert list(found) == ["print_queue_length"]


def test_a_name_of_a_megabyte_takes_no_time():
    """Each underscore might be the end of a prefix: a search of all would take minutes."""
    name = "_" * 1_000_000
    metric = Declared(name, "gauge", "", "", frozenset(), frozenset({name}))
    assert [row.title for row in choose_rows([metric], DIALECT)] == ["Own gauges"]


def test_a_label_of_another_meaning_does_not_change_the_conventions(panels):
    text = '# TYPE failures_total counter\nfailures_total{error_type="a"} 1\n# TYPE http_server_active_requests gauge\n'
    assert _expressions(panels(text), "Active requests by route")[0].startswith("sum by (route)")


def test_panels_by_worker_need_the_label(panels, registry):
    MetricsMiddleware(_app, registry=registry)
    assert "p99 by worker" not in panels(registry)
    other = CollectorRegistry()
    MetricsMiddleware(_app, registry=other, worker_label=True)
    assert "p99 by worker" in panels(other)


def test_every_metric_of_the_library_is_in_the_table():
    rows = [row for row in choose_rows(EVERYTHING, DIALECT) if row.title.startswith("Own")]
    titles = [panel.title for row in rows for panel in row.panels]
    assert titles
    assert [title for title in titles if not title.startswith("own_")] == []


def test_no_metric_of_a_source_is_lost():
    rows = choose_rows(EVERYTHING, DIALECT)
    text = " ".join(query.expression for row in rows for panel in row.panels for query in panel.queries)
    assert [one.name for one in EVERYTHING if not any(f"{sample}{{" in text for sample in one.samples)] == []


def test_titles_of_the_table_are_unique():
    titles = [panel.title for row in (*ROWS_BEFORE_OWN[1:], *ROWS_AFTER_OWN) for panel in row.panels]
    assert len(set(titles)) == len(titles)


def test_the_table_has_no_metric_that_the_library_lacks():
    """The rest is of scrapes, of errors, and of a registry with labels of the target."""
    seldom = re.compile(r"asyncmetrics_(scrape|collector_err|internal_err|omitted|single_worker)\w+|target_info")
    samples = {sample for one in EVERYTHING for sample in one.samples}
    assert [name for name in KNOWN_SAMPLES - samples if not seldom.fullmatch(name)] == []


def test_a_counter_has_its_rate_by_its_labels(panels, registry):
    Counter("orders", "Orders.", ["kind"], registry=registry)
    expected = 'sum by (kind) (rate(orders_total{job=~"$job", instance=~"$instance"}[$__rate_interval]))'
    assert _expressions(panels(registry), "orders_total: rate") == [expected]


def test_a_counter_whose_labels_are_unknown_keeps_them(panels):
    [expression] = _expressions(panels("# TYPE orders_total counter\n"), "orders_total: rate")
    assert expression.startswith("sum without (instance) (rate(orders_total{")


def test_a_gauge_has_its_value_in_the_unit_of_its_name(panels, registry):
    Gauge("room_bytes", "Room.", registry=registry)
    panel = panels(registry)["room_bytes"]
    assert panel["fieldConfig"]["defaults"]["unit"] == "bytes"
    assert panel["targets"][0]["expr"] == 'room_bytes{job=~"$job", instance=~"$instance"}'


@pytest.mark.parametrize("name", ["sync_timestamp_seconds", "shop_start_time_seconds", "node_boot_time_seconds"])
def test_a_gauge_of_a_time_has_the_time_since_then(panels, registry, name):
    Gauge(name, "A time.", registry=registry)
    assert _expressions(panels(registry), f"{name}: time since")[0].startswith(f"time() - {name}")


@pytest.mark.parametrize(("name", "unit"), [("wait_milliseconds", "ms"), ("age_minutes", "m"), ("age_hours", "h")])
def test_a_gauge_of_another_unit_of_time_has_it(panels, registry, name, unit):
    Gauge(name, "A time.", registry=registry)
    assert panels(registry)[name]["fieldConfig"]["defaults"]["unit"] == unit


def test_a_histogram_has_quantiles_and_a_heatmap(panels, registry):
    Histogram("size_bytes", "Sizes.", ["kind"], registry=registry)
    found = panels(registry)
    assert [text[:22] for text in _expressions(found, "size_bytes: p50, p95, p99")] == [
        "histogram_quantile(0.5",
        "histogram_quantile(0.9",
        "histogram_quantile(0.9",
    ]
    assert found["size_bytes: heatmap"]["type"] == "heatmap"
    assert _expressions(found, "size_bytes: heatmap")[0].startswith("sum by (le) (increase(size_bytes_bucket{")


def test_a_gauge_histogram_has_no_rates(panels, registry):
    class Collector:
        def collect(self):
            yield GaugeHistogramMetricFamily("waiting", "Waiting.", buckets=[("1", 1), ("+Inf", 2)], gsum_value=3)

    registry.register(Collector())
    found = panels(registry)
    assert all("rate(" not in text for title in found for text in _expressions(found, title))


def test_a_summary_has_its_mean_and_the_quantiles_that_it_has(panels):
    found = panels('# TYPE s summary\ns{quantile="0.5"} 1\ns_count 1\ns_sum 1\n')
    assert "s: quantiles" in found
    assert "rate(s_sum{" in _expressions(found, "s: mean")[0]


def test_a_summary_without_numbers_is_not_lost(panels, registry):
    Summary("s", "S.", registry=registry)
    assert {"s: mean", "s: observations"} <= panels(registry).keys()


def test_an_info_is_a_table_and_an_enum_a_line_of_states(panels, registry):
    Info("build", "Build.", registry=registry)
    Enum("mode", "Mode.", states=["a", "b"], registry=registry)
    found = panels(registry)
    assert (found["build_info"]["type"], found["mode"]["type"]) == ("table", "state-timeline")


def test_a_metric_of_an_unknown_kind_has_its_value(panels):
    assert _expressions(panels("load 1\n"), "load") == ['load{job=~"$job", instance=~"$instance"}']
