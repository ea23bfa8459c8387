"""Rules and objectives of native histograms."""

from __future__ import annotations

import re

import pytest

from asyncmetrics import CollectorRegistry, Histogram, generate_latest
from asyncmetrics.bridges.scraping import Exposition
from asyncmetrics.cli import main
from asyncmetrics.dashboards.rules.declared import list_natives, read_declared
from asyncmetrics.dashboards.rules.matching import Names, select_groups
from asyncmetrics.dashboards.rules.measures import find_indicator
from asyncmetrics.dashboards.rules.objectives import parse_objective
from asyncmetrics.errors import DefinitionError
from tests.dashboards.rules.sources import make_shop

CLASSIC = re.compile(r"http_server\w+_(?:bucket|count|sum)\b")


def _name(registry: CollectorRegistry, *, native: bool) -> Names:
    return Names(read_declared(registry), True, natives=list_natives(registry, native=native))


def _list_expressions(names):
    return [rule.expr for group in select_groups(names)[0] for rule in group.rules]


@pytest.mark.parametrize("native", [False, True])
def test_a_histogram_with_both_has_the_rules_that_are_asked_for(native):
    expressions = _list_expressions(_name(make_shop(native=True), native=native))
    assert any(map(CLASSIC.search, expressions)) is not native
    assert any("histogram_sum(rate(http_server_request_duration_seconds[5m]))" in one for one in expressions) is native


def test_a_histogram_without_classic_buckets_has_native_rules():
    assert not any(map(CLASSIC.search, _list_expressions(_name(make_shop(native=True, buckets=()), native=False))))


def test_the_failures_of_native_histograms_are_counted_by_their_counts():
    found = find_indicator(parse_objective("http=99%"), _name(make_shop(native=True), native=True), "shop")
    selector = 'http_server_request_duration_seconds{status=~"5..", job="shop"}[5m]'
    assert f"histogram_count(rate({selector}))" in found.describe_ratio("5m")
    assert "histogram_count(increase(" in found.describe_failures("1h")


def test_the_limit_of_a_native_histogram_may_be_any_number(registry):
    Histogram("pay_seconds", "P.", ["kind"], buckets=(), native=True, registry=registry).labels("a").observe(1)
    names = _name(registry, native=False)
    found = find_indicator(parse_objective('pay=pay_seconds{kind="a"}<70ms=99%'), names, None)
    values = 'sum by (job) (rate(pay_seconds{kind="a"}[5m]))'
    assert re.sub(r"\s+", " ", found.describe_ratio("5m")) == f"1 - histogram_fraction( -Inf, 0.07, {values} )"
    text = re.sub(r"\s+", " ", found.describe_failures("1h"))
    values = 'sum by (job) (increase(pay_seconds{kind="a"}[1h]))'
    assert text == f"(1 - histogram_fraction( -Inf, 0.07, {values} )) * histogram_count({values})"


def test_a_native_histogram_is_no_counter_of_a_ratio(registry):
    Histogram("pay_seconds", "P.", buckets=(), native=True, registry=registry).observe(1)
    with pytest.raises(DefinitionError, match="did you mean 'pay_seconds_count'"):
        find_indicator(parse_objective("pay=pay_seconds/pay_seconds_count=99%"), _name(registry, native=True), None)


def test_a_text_shows_that_a_histogram_has_no_classic_buckets(registry):
    Histogram("pay_seconds", "P.", buckets=(), native=True, registry=registry).observe(1)
    Histogram("wait_seconds", "W.", native=True, registry=registry).observe(1)
    assert list_natives(Exposition(generate_latest(registry).decode())) == {"pay_seconds"}


def test_the_files_of_the_command_have_no_tests_of_native_histograms(tmp_path, capsys):
    path = tmp_path / "shop.txt"
    path.write_bytes(generate_latest(make_shop()))
    slos = ["--slo", "latency<0.3s=99%", "--slo", "o=failures_total/orders_total=99%"]
    assert main(["rules", str(path), "--native", *slos, "--out", str(tmp_path), "--name", "shop"]) == 0
    tests = (tmp_path / "shop.tests.yml").read_text()
    assert '# "latency<0.3s=99%" has no test: it reads native histograms.' in tests
    assert tests.count("o=failures_total/orders_total=99%: no data") == 1
    assert "-Inf, 0.3, " in (tmp_path / "shop.rules.yml").read_text()
