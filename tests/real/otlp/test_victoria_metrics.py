"""VictoriaMetrics takes our OTLP, and has every series under its own name, value by value.

It runs twice: with the names of OTLP, and with the names that Prometheus' receiver and the collector's exporter make.
"""

from __future__ import annotations

import httpx
import pytest

from tests.patience import wait_until
from tests.real.otlp.shop import list_expected, make_registry, push
from tests.servers.victoria_metrics import run_victoria_metrics

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("victoria_metrics_otlp")]

RESOURCE = {
    "service.name": "shop",
    "service.instance.id": "host:0",
    "region": "eu",
    "telemetry.sdk.name": "asyncmetrics",
}
FURTHER = {"host.name", "telemetry.sdk.language", "telemetry.sdk.version", "scope.name", "scope.version"}
NAMINGS = {"otlp": [], "prometheus": ["-opentelemetry.usePrometheusNaming"]}


@pytest.fixture(scope="module")
def registry():
    return make_registry()


@pytest.fixture(scope="module", params=NAMINGS)
def rows(request, tmp_path_factory, registry):
    """All series that the server has, once the push is visible."""
    options = ("-search.latencyOffset=0s", *NAMINGS[request.param])
    compression = "gzip" if request.param == "prometheus" else "none"
    with run_victoria_metrics(tmp_path_factory.mktemp("vm"), *options) as base:
        now = push(f"{base}/opentelemetry/v1/metrics", registry, compression=compression)

        def read():
            parameters = {"query": '{zone="a"}', "time": repr(now + 1)}
            return httpx.get(f"{base}/api/v1/query", params=parameters).json()["data"]["result"]

        yield [_unify(row) for row in wait_until(read, lambda found: len(found) > len(list_expected(registry)))]


def _unify(row):
    """Return the name, the labels, and the value of a series, the names of attributes with dots."""
    dots = {name.replace(".", "_"): name for name in {*RESOURCE, *FURTHER}} | {"otel_scope_name": "scope.name"}
    dots["otel_scope_version"] = "scope.version"
    labels = {dots.get(name, name): text for name, text in row["metric"].items()}
    if labels.get("le", "+Inf") != "+Inf":
        labels["le"] = repr(float(labels["le"]))
    return labels.pop("__name__"), labels, float(row["value"][1])


def test_every_series_has_its_name_its_labels_and_its_value(rows, registry):
    found = {
        (name, tuple(sorted((key, text) for key, text in labels.items() if key not in {*RESOURCE, *FURTHER}))): value
        for name, labels, value in rows
    }
    expected = list_expected(registry)
    assert {key: found.get(key) for key in expected} == expected
    assert {name for name, _ in found.keys() - expected.keys()} == {
        "sizes_bytes_bucket",
        "loads_bucket",
        *NATIVE_TOTALS,
    }


NATIVE_TOTALS = ("sizes_bytes_count", "sizes_bytes_sum")


def test_the_resource_is_in_the_labels(rows):
    (labels,) = [labels for name, labels, _ in rows if name == "sent_bytes_total"]
    assert RESOURCE.items() <= labels.items()


def test_a_native_histogram_has_its_count_its_sum_and_its_buckets(rows):
    values = {name: value for name, _, value in rows}
    assert [values[name] for name in NATIVE_TOTALS] == [6.0, 20.5]
    assert (values["loads_count"], values["loads_sum"]) == (4.0, 63.0)
    loads = {labels["vmrange"].partition("...")[2]: value for name, labels, value in rows if name == "loads_bucket"}
    assert loads == {"-2.954e+00": 1.0, "1.000e+00": 2.0, "6.400e+01": 1.0}
    ranges = {labels["vmrange"]: value for name, labels, value in rows if name == "sizes_bytes_bucket"}
    assert sorted(ranges.values()) == [1.0, 1.0, 2.0, 2.0]
