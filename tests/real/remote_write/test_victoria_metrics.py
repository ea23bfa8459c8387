"""A real VictoriaMetrics, which takes 1.0, returns all that was written."""

from __future__ import annotations

import httpx
import pytest

from asyncmetrics import CollectorRegistry, Histogram
from asyncmetrics.bridges.remote_write import RemoteWrite
from asyncmetrics.registry.collectables import collect_within
from tests.patience import wait_until
from tests.real.remote_write.receivers import Everything, list_samples, push, query, read_samples
from tests.servers.victoria_metrics import run_victoria_metrics

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("remote_write")]


def test_a_native_histogram_becomes_ranges(base):
    registry = CollectorRegistry()
    loads = Histogram("loads", "L.", buckets=(), native=True, registry=registry)
    for load in (1, 1, 64, -3):
        loads.observe(load)
    push(RemoteWrite(f"{base}/api/v1/write", labels={"instance": "loads"}), collect_within(registry))
    rows = wait_until(lambda: query(base, '{instance="loads"}'), lambda found: len(found) >= 5, pause=0.1)
    values = {row["metric"]["__name__"]: float(row["value"][1]) for row in rows}
    assert (values["loads_count"], values["loads_sum"]) == (4, 63)
    ranges = {row["metric"].get("vmrange", "").partition("...")[2]: float(row["value"][1]) for row in rows}
    assert {end: count for end, count in ranges.items() if end} == {"-2.954e+00": 1, "1.000e+00": 2, "6.400e+01": 1}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    with run_victoria_metrics(tmp_path_factory.mktemp("victoria")) as base:
        yield base


def test_every_value_and_the_metadata_are_read_back(base):
    sink = RemoteWrite(f"{base}/api/v1/write")
    families = Everything().collect()
    push(sink, families)
    assert sink.version == 1
    expected = list_samples(families)
    found = wait_until(lambda: read_samples(base), lambda found: len(found) >= len(expected), pause=0.1)
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-300)  # it keeps 15 digits, and no denormal numbers
    metadata = httpx.get(f"{base}/api/v1/metadata").json()["data"]
    assert metadata["taken_seconds"][0]["help"] == "How long."
    assert metadata["orders_total"][0]["type"] == "counter"
