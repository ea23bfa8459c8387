"""Names, units, labels and values are those of OpenTelemetry's own exporter for Prometheus, but where the page says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.metrics import Meter, Observation

from asyncmetrics import CollectorRegistry, generate_latest
from asyncmetrics.bridges.opentelemetry import MeterProvider
from asyncmetrics.bridges.opentelemetry.naming import make_labels, make_name, make_unit
from asyncmetrics.formats.reading.text import parse_prometheus

prometheus_client = pytest.importorskip("prometheus_client")
pytest.importorskip("opentelemetry.exporter.prometheus")

from opentelemetry.exporter.prometheus import PrometheusMetricReader  # noqa: E402
from opentelemetry.exporter.prometheus._mapping import map_unit, sanitize_attribute, sanitize_full_name  # noqa: E402
from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider  # noqa: E402

BUCKETS = [0.5, 2.0]


def measure_everything(meter: Meter) -> None:
    counter = meter.create_counter("http.server.orders", "{order}", "Orders.")
    counter.add(2, {"http.route": "/a", "ok": True, "code": 200, "size": 1.5, "tags": ["a", "b"]})
    counter.add(3, {"http.route": "/b"})
    meter.create_counter("already_total", "By").add(1)
    meter.create_up_down_counter("active", "{call}").add(-2, {"1digit": "x"})
    histogram = meter.create_histogram("wait", "ms", "Waits.", explicit_bucket_boundaries_advisory=BUCKETS)
    histogram.record(1, {"pool": "main", "error.type": 'a "quoted"\nline'})
    histogram.record(0.5, {"pool": "main"})
    meter.create_gauge("level", "%").set(7, {"a": ""})
    meter.create_observable_counter("bytes.sent", [lambda options: [Observation(5, {"to": "x"})]], "KiBy/s")
    meter.create_observable_gauge("temp", [lambda options: [Observation(-5)]], "Cel", "Outside.")
    meter.create_observable_up_down_counter("open--files__now", [lambda options: [Observation(3)]])


def read_series(text: str) -> dict[str, dict[Any, float]]:
    """Return the value of each series by its name and labels, without empty labels, by family, kind and help text."""
    return {
        f"{family.name} {family.type} {family.documentation}": {
            (one.name, frozenset((name, text) for name, text in one.labels.items() if text)): one.value
            for one in family.samples
        }
        for family in parse_prometheus(text)
    }


def test_the_exposition_is_that_of_the_exporter_of_opentelemetry():
    theirs = prometheus_client.CollectorRegistry()
    reader = PrometheusMetricReader(disable_target_info=True, prefix="otel", registry=theirs)
    sdk = SdkMeterProvider([reader])
    measure_everything(sdk.get_meter("shop", "1.2", "https://schema", {"team": "x"}))
    ours = CollectorRegistry()
    measure_everything(MeterProvider(ours).get_meter("shop", "1.2", "https://schema", {"team": "x"}))
    expected = read_series(prometheus_client.generate_latest(theirs).decode())
    sdk.shutdown()
    assert read_series(generate_latest(ours).decode()) == expected
    assert len(expected) == 8


names = st.from_regex(r"[a-zA-Z0-9][-_./a-zA-Z0-9]{0,20}", fullmatch=True)
units = st.sampled_from(["s", "By", "KBy/s", "{request}", "{request}/s", "m/s", "/h", "a/", "1", "", "%", "°", "_x_"])


@given(names, units | st.text(max_size=8))
def test_a_name_is_that_of_the_exporter(name, unit):
    theirs = prometheus_client.Metric(sanitize_full_name(f"otel_{name}"), "", "gauge", map_unit(unit)).name
    assert make_name("gauge", name, make_unit(unit), "otel") == theirs


@given(st.text(min_size=1, max_size=12))
def test_a_label_is_that_of_the_exporter(key):
    assert list(make_labels({key: "x"})) == [sanitize_attribute(key)]
