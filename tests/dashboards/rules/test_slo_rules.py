"""The rules of an objective: seven windows, four alerts."""

from __future__ import annotations

import re

import pytest

from asyncmetrics.dashboards.rules.measures import find_indicator
from asyncmetrics.dashboards.rules.objectives import parse_objective
from asyncmetrics.dashboards.rules.slo_rules import make_group
from tests.dashboards.rules.sources import make_names, make_shop


def make(slo, job=None, min_failures=5):
    objective = parse_objective(slo)
    return make_group(objective, find_indicator(objective, make_names(make_shop()), job), job, "shop", min_failures)


def alerts(slo, **options):
    return {rule.name: rule for rule in make(slo, **options).rules if rule.kind == "alert"}


def test_the_ratio_is_recorded_over_seven_windows():
    names = [rule.name for rule in make("http=99.9%").rules if "ratio" in rule.name and rule.kind == "record"]
    assert names == [f"job:slo_errors:ratio_rate{window}" for window in ("5m", "30m", "1h", "2h", "6h", "1d", "3d")]


@pytest.mark.parametrize(
    ("name", "rate", "long", "short", "severity"),
    [
        ("ErrorBudgetGoneIn2Days", "14.4", "1h", "5m", "page"),
        ("ErrorBudgetGoneIn5Days", "6", "6h", "30m", "page"),
        ("ErrorBudgetGoneIn10Days", "3", "1d", "2h", "ticket"),
        ("ErrorBudgetGoneIn30Days", "1", "3d", "6h", "ticket"),
    ],
)
def test_an_alert_needs_a_long_and_a_short_window_and_enough_failures(name, rate, long, short, severity):
    rule = alerts("http=99.9%")[name]
    assert rule.expr == (
        f'job:slo_errors:ratio_rate{long}{{slo="http"}} > {rate} * 0.001\n'
        f'  and job:slo_errors:ratio_rate{short}{{slo="http"}} > {rate} * 0.001\n'
        f'  and job:slo_failures:increase{long}{{slo="http"}} >= 5'
    )
    assert rule.labels == {"severity": severity, "slo": "http"}
    assert set(rule.annotations) == {"summary", "description"}


def test_every_recorded_name_that_an_alert_reads_is_recorded():
    rules = make("http=99.9%").rules
    recorded = {rule.name for rule in rules if rule.kind == "record"}
    read = {name for rule in rules if rule.kind == "alert" for name in re.findall(r"job:\w+:\w+", rule.expr)}
    assert read == recorded


@pytest.mark.parametrize(("slo", "number"), [("http=94%", 4), ("http=93%", 3), ("http=80%", 2), ("http=50%", 1)])
def test_an_alert_that_could_never_fire_is_left_out_with_a_comment(slo, number):
    group = make(slo)
    assert len([rule for rule in group.rules if rule.kind == "alert"]) == number
    assert ("Without ErrorBudgetGoneIn2Days" in group.comment) == (number < 4)


def test_a_job_limits_each_part_of_an_alert():
    assert alerts("http=99.9%", job="a")["ErrorBudgetGoneIn2Days"].expr.count('{slo="http", job="a"}') == 3


def test_the_condition_on_traffic_can_be_switched_off():
    assert "slo_failures" not in alerts("http=99.9%", min_failures=0)["ErrorBudgetGoneIn2Days"].expr


def test_a_template_in_a_route_is_text_in_annotations_and_labels_of_alerts():
    rule = alerts("http:/{{ $value }}=99.9%")["ErrorBudgetGoneIn2Days"]
    assert rule.labels["slo"] == 'http:/{{ "{{" }} $value }}'
    assert "/{{ $value" not in rule.annotations["summary"] + rule.annotations["description"]
