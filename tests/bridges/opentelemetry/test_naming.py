"""Where names and labels differ from those of OpenTelemetry's exporter, they follow its specification."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.metrics import Meter

from asyncmetrics import CollectorRegistry, generate_latest
from asyncmetrics.bridges.opentelemetry import MeterProvider
from asyncmetrics.bridges.opentelemetry.naming import make_labels
from asyncmetrics.formats.reading.text import parse_prometheus


def test_a_gauge_of_unit_1_is_a_ratio(meter: Meter, read: Callable[[str], object]):
    meter.create_gauge("load", "1").set(0.5)
    meter.create_counter("calls", "1").add(1)
    assert (read("otel_load_ratio"), read("otel_calls_total")) == ({frozenset(): 0.5}, {frozenset(): 1})


def test_attributes_whose_keys_become_one_label_are_joined_in_the_order_of_the_keys():
    assert make_labels({"a_b": "2", "a.b": "1"}) == {"a_b": "1;2"}


@pytest.mark.parametrize("namespace", ["", "my.app"])
def test_the_namespace_is_the_beginning_of_each_name(registry, namespace):
    MeterProvider(registry, namespace=namespace).get_meter("lib").create_counter("calls").add(1)
    (name,) = (sample.name for family in registry.collect() for sample in family.samples)
    assert name == ("my_app_calls_total" if namespace else "calls_total")


values = st.text(max_size=5) | st.integers() | st.booleans() | st.floats() | st.lists(st.text(max_size=3), max_size=2)


@given(st.lists(st.dictionaries(st.text(min_size=1, max_size=5), values, max_size=4), max_size=6))
def test_whatever_the_attributes_are_every_measurement_is_exposed(sets):
    registry = CollectorRegistry()
    counter = MeterProvider(registry, scope_labels=False).get_meter("lib").create_counter("calls")
    for attributes in sets:
        counter.add(1, attributes)
    expected: dict[frozenset[tuple[str, str]], int] = {}
    for attributes in sets:
        series = frozenset(make_labels(attributes).items())
        expected[series] = expected.get(series, 0) + 1
    found: dict[frozenset[tuple[str, str]], float] = {}
    for family in parse_prometheus(generate_latest(registry).decode()):
        for sample in family.samples:
            series = frozenset(sample.labels.items())
            assert series not in found
            found[series] = sample.value
    assert found == expected
