"""Which of the shipped rules apply to a source, and by which names."""

from __future__ import annotations

import pytest

from asyncmetrics import CollectorRegistry, Counter, Gauge
from asyncmetrics.dashboards.rules.matching import select_groups
from asyncmetrics.dashboards.rules.rule import list_metrics
from asyncmetrics.dashboards.rules.table import ALERTS, RECORDING
from asyncmetrics.jobs import Heartbeat
from tests.dashboards.rules.sources import make_names, make_shop, read_names


def select(names):
    groups, _ = select_groups(names)
    return {rule.name: rule for group in groups for rule in group.rules}


def test_alerts_apply_to_the_metrics_that_are_declared_and_to_no_others(registry):
    before = select(make_names(registry))
    Heartbeat("consumer", interval=3, registry=registry)
    assert select(make_names(registry)).keys() - before.keys() == {"HeartbeatIsMissing"}


def test_an_empty_registry_has_the_alerts_on_targets_and_on_the_library_itself():
    assert set(select(make_names(CollectorRegistry()))) == {
        *("TargetIsDown", "CollectorFails", "LabelsOverflow", "InstrumentationFails", "WorkersDoNotShare"),
        "WorkersDropSeries",
        "LibraryIsNotMeasured",
    }


def test_alerts_on_pushes_and_statsd_apply_where_there_is_a_pusher_or_a_statsd_server(registry):
    before = select(make_names(registry))
    Counter("asyncmetrics_push", "Pushes.", ["sink", "outcome"], registry=registry)
    Counter("asyncmetrics_statsd_lines", "Lines.", ["outcome"], registry=registry)
    assert select(make_names(registry)).keys() - before.keys() == {
        *("PushNeverSucceeds", "PushIsRejected", "StatsDRefusesLines")
    }


def test_a_foreign_exporter_has_no_alerts_on_the_library():
    text = "process_open_fds 1\nprocess_max_fds 9\nprocess_start_time_seconds 1\ngo_goroutines 3\n"
    assert set(select(read_names(text))) == {"TargetIsDown", "FileDescriptorsRunOut", "ProcessRestartsOften"}


def test_a_text_without_a_metric_has_the_alert_on_targets_alone():
    assert set(select(read_names(""))) == {"TargetIsDown"}


def test_an_exposition_of_the_middleware_has_the_alerts_on_the_library():
    assert "CollectorFails" in select(read_names("http_server_oldest_active_request_seconds 0\n"))


def test_every_name_of_a_rule_has_the_namespace_and_the_names_of_opentelemetry():
    rules = select(make_names(make_shop(namespace="shop", conventions="opentelemetry")))
    ratio = rules["job_route:shop_http_server_failures:ratio_rate5m"]
    assert ratio.expr == (
        "(\n"
        "  sum by (job, http_route) "
        '(rate(shop_http_server_request_duration_seconds_count{http_response_status_code=~"5.."}[5m]))\n'
        "    or 0 * job_route:shop_http_server_requests:rate5m\n"
        ") / (job_route:shop_http_server_requests:rate5m > 0)"
    )
    alert = rules["RouteFails"]
    assert list_metrics(alert.expr) == {ratio.name, "job_route:shop_http_server_requests:rate5m"}
    assert "{{ $labels.http_route }}" in alert.annotations["summary"]


def test_a_label_that_no_convention_names_keeps_its_name():
    registry = make_shop(conventions="opentelemetry")
    Counter("python_unhandled_exceptions", "Exceptions.", ["type", "where"], registry=registry)
    assert "{{ $labels.type }}" in select(make_names(registry))["ExceptionIsUnhandled"].annotations["summary"]


def test_a_metric_of_another_namespace_is_named_as_left_out():
    registry = make_shop()
    Gauge("admin_http_server_oldest_active_request_seconds", "Age.", ["route"], registry=registry)
    groups, left_out = select_groups(make_names(registry))
    assert left_out == ["admin_http_server_oldest_active_request_seconds"]
    assert "(http_server_oldest_active_request_seconds)" in next(
        rule.expr for group in groups for rule in group.rules if rule.name == "RequestHangs"
    )


def test_a_namespace_that_is_said_wins():
    registry = make_shop()
    Gauge("admin_http_server_oldest_active_request_seconds", "Age.", ["route"], registry=registry)
    expr = select(make_names(registry, namespace="admin"))["RequestHangs"].expr
    assert "(admin_http_server_oldest_active_request_seconds)" in expr


def test_a_hostile_name_with_the_end_of_a_known_one_is_passed_over():
    assert "QueueIsFull" not in select(read_names('{"x) or vector(1) > queue_length"} 1\n{"a b_queue_max"} 1\n'))


def test_the_queue_of_a_pool_of_threads_is_no_queue_with_a_namespace(registry):
    Gauge("thread_pool_queue_length", "Calls that wait.", ["pool"], registry=registry)
    for name in ("queue_length", "queue_max"):
        Gauge(name, "A queue.", ["queue"], registry=registry)
    groups, left_out = select_groups(make_names(registry))
    assert left_out == []
    assert "QueueIsFull" in {rule.name for group in groups for rule in group.rules}


@pytest.mark.parametrize("prefix", ["", "print_"])
@pytest.mark.parametrize("sample", ['{printer="a"} 1\n', " 1\n"])
def test_a_queue_of_another_program_gets_no_alert(prefix, sample):
    assert "QueueIsFull" not in select(read_names(f"{prefix}queue_length{sample}{prefix}queue_max{sample}"))


@pytest.mark.parametrize("prefix", ["", "shop_"])
def test_a_queue_of_ours_gets_its_alert(prefix):
    sample = '{queue="a"} 1\n'
    assert "QueueIsFull" in select(read_names(f"{prefix}queue_length{sample}{prefix}queue_max{sample}"))


def test_a_rule_whose_matcher_no_series_can_fit_is_left_out():
    """The status has another name here: the alert would be silent for ever."""
    text = 'http_server_request_duration_seconds_count{route="/",code="500"} 1\n'
    found = select(read_names(text))
    assert "job_route:http_server_requests:rate5m" in found
    assert {"job_route:http_server_failures:ratio_rate5m", "RouteFails"}.isdisjoint(found)


@pytest.mark.parametrize(
    "rule", [rule for group in (*RECORDING, *ALERTS) for rule in group.rules], ids=lambda r: r.name
)
def test_every_rule_reads_a_metric(rule):
    assert list_metrics(rule.expr)


def test_the_metrics_of_an_expression_are_neither_its_functions_nor_its_labels():
    expr = 'sum by (a, b) (rate(x_total{c="d_total", e=~"f"}[5m])) > on (g) group_left () 3 * y or time() - z offset 5m'
    assert list_metrics(expr) == {"x_total", "y", "z"}
