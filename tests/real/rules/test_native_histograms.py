"""A real Prometheus evaluates the queries for native histograms, which it got by remote write."""

from __future__ import annotations

import time

import pytest

from asyncmetrics import CollectorRegistry, Histogram
from asyncmetrics.bridges.remote_write import RemoteWrite
from asyncmetrics.dashboards.declared import read_declared
from asyncmetrics.dashboards.panels.choosing import choose_rows
from asyncmetrics.dashboards.promql import Dialect
from asyncmetrics.dashboards.rules import declared as rules_declared
from asyncmetrics.dashboards.rules.matching import Names
from asyncmetrics.dashboards.rules.measures import find_indicator
from asyncmetrics.dashboards.rules.objectives import parse_objective
from asyncmetrics.registry.collectables import collect_within
from tests.patience import wait_until
from tests.real.remote_write.receivers import FEATURES, push
from tests.servers.newer_programs import find_newer_program
from tests.servers.prometheus_server import run_prometheus

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("native_rules")]

SECONDS = 60


@pytest.fixture(scope="module", params=["old", "new"])
def server(request, tmp_path_factory):
    """Prometheus of Debian 12, and a newer one."""
    program = find_newer_program("prometheus") if request.param == "new" else "prometheus"
    options = "--web.enable-remote-write-receiver", FEATURES
    with run_prometheus(tmp_path_factory.mktemp("native"), [], "1m", *options, program=program) as server:
        yield server


@pytest.fixture(scope="module")
def pushed(server):
    """The registry, and the time of the last of two pushes: from the first on, each amount was observed once."""
    registry = CollectorRegistry()
    taken = Histogram("pay_seconds", "P.", ["kind"], buckets=(), native=True, registry=registry)
    taken.labels("a")
    sink = RemoteWrite(f"{server.base}/api/v1/write", version=1, labels={"job": "shop"})
    began = time.time() - SECONDS
    push(sink, collect_within(registry), began)
    for number in range(1, 1001):
        taken.labels("a").observe(number / 1000)
    push(sink, collect_within(registry), began + SECONDS)
    wait_until(lambda: server.query('pay_seconds{job="shop"}', began + SECONDS))
    return registry, began + SECONDS + 1


def _value(server, expression, at):
    (row,) = server.query(expression, at)
    return float(row["value"][1])


def test_the_panels_show_the_quantiles_and_the_rate(server, pushed):
    registry, at = pushed
    (row,) = choose_rows(read_declared(registry), Dialect("2m", {"job": '=~"shop"'}))
    shape, heatmap, observations = row.panels
    found = [_value(server, query.expression, at) for query in shape.queries]
    assert found == pytest.approx([0.5, 0.95, 0.99], rel=0.02)
    ((buckets,),) = ([one["histogram"][1]["buckets"]] for one in server.query(heatmap.queries[0].expression, at))
    assert len(buckets) > 100
    assert _value(server, observations.queries[0].expression, at) > 0


@pytest.mark.parametrize(("limit", "share"), [("0.3s", 0.7), ("1s", 0.0), ("70ms", 0.93)])
def test_the_failures_of_an_objective_are_those_above_the_limit(server, pushed, limit, share):
    registry, at = pushed
    names = Names(rules_declared.read_declared(registry), True, natives=rules_declared.list_natives(registry))
    found = find_indicator(parse_objective(f"pay=pay_seconds<{limit}=99%"), names, "shop")
    assert _value(server, found.describe_ratio("2m"), at) == pytest.approx(share, abs=0.01)
    events = _value(server, 'histogram_count(sum(increase(pay_seconds{job="shop"}[2m])))', at)
    assert _value(server, found.describe_failures("2m"), at) == pytest.approx(share * events, abs=0.01 * events)
