"""The OTLP receiver of Prometheus 3 takes what we send, and has every series under its own name, value by value."""

from __future__ import annotations

import subprocess

import pytest

from tests.real.otlp.shop import list_expected, make_registry, push
from tests.servers.newer_programs import find_newer_program
from tests.servers.prometheus_server import run_prometheus

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("newer_prometheus_otlp")]

OPTION = "web.enable-otlp-receiver"


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    options = (f"--{OPTION}", "--enable-feature=exemplar-storage,native-histograms")
    program = find_newer_program("prometheus")
    if OPTION not in subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout:
        pytest.skip("newer Prometheus: it was built without the OTLP receiver, as Debian's")
    with run_prometheus(tmp_path_factory.mktemp("prometheus"), [], "1s", *options, program=program) as server:
        yield server


@pytest.fixture(scope="module")
def registry():
    return make_registry()


@pytest.fixture(scope="module")
def pushed(prometheus, registry):
    """The time of a push that the server has stored."""
    return push(f"{prometheus.base}/api/v1/otlp/v1/metrics", registry, compression="gzip")


def _read(row):
    labels = {name: text for name, text in row["metric"].items() if name not in {"__name__", "job", "instance"}}
    if labels.get("le", "+Inf") != "+Inf":
        labels["le"] = repr(float(labels["le"]))
    return (row["metric"]["__name__"], tuple(sorted(labels.items()))), float(row["value"][1])


def test_every_series_has_its_name_its_labels_and_its_value(prometheus, registry, pushed):
    rows = prometheus.query('{zone="a"}', pushed + 1)
    found = dict(_read(row) for row in rows if "value" in row)
    assert found == list_expected(registry)


def test_the_resource_is_in_job_instance_and_target_info(prometheus, pushed):
    (row,) = prometheus.query("target_info", pushed + 1)
    labels = row["metric"]
    assert (labels["job"], labels["instance"], labels["region"]) == ("shop", "host:0", "eu")


def test_a_native_histogram_has_its_buckets(prometheus, pushed):
    (row,) = prometheus.query("sizes_bytes", pushed + 1)
    histogram = row["histogram"][1]
    assert (histogram["count"], histogram["sum"]) == ("6", "20.5")
    zero, *others = [(float(low), float(high), float(count)) for _, low, high, count in histogram["buckets"]]
    assert zero == (-0.25, 0.25, 2.0)
    (row,) = prometheus.query("loads", pushed + 1)
    assert (row["histogram"][1]["count"], row["histogram"][1]["sum"]) == ("4", "63")
    base = 2 ** (2**-3)
    assert [count for *_, count in others] == [1.0, 2.0, 1.0]
    assert [high for _, high, _ in others] == pytest.approx([base**2, base**3, base**5])


def test_an_exemplar_has_the_identifiers_of_its_trace(prometheus, pushed):
    found = prometheus.get(
        "/api/v1/query_exemplars", query="orders_total", start=repr(pushed - 60), end=repr(pushed + 60)
    )
    (exemplar,) = [one for series in found for one in series["exemplars"]]
    assert exemplar["labels"] == {"trace_id": "0af7651916cd43dd8448eb211c80319c", "user": "u"}
    assert float(exemplar["value"]) == 3.0


def test_the_metadata_is_that_of_the_family(prometheus, pushed):
    found = prometheus.get("/api/v1/metadata", metric="orders_total")
    assert [one["type"] for one in found.get("orders_total", [])] == ["counter"]
