"""The table of kinds, and what each layer has to have for a kind in it."""

from __future__ import annotations

from typing import get_args

import pytest
from prometheus_client.metrics_core import METRIC_TYPES as THEIR_METRIC_TYPES

import asyncmetrics
from asyncmetrics import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary
from asyncmetrics.model.family import METRIC_TYPES
from asyncmetrics.model.kinds import KINDS, NUMERIC_LABELS, DeclaredKind, Merge, is_never_negative
from asyncmetrics.registry.collectables import collect_within
from asyncmetrics.storage import MemoryStorage, SharedStorage
from asyncmetrics.storage.shared.scrape.merge_rules import MERGE_RULES

DECLARED = get_args(DeclaredKind)

# OpenMetrics 1.0, "Metric Types": what the names of a family's samples add to its own name.
SUFFIXES = {
    "gauge": {""},
    "counter": {"_total", "_created"},
    "stateset": {""},
    "info": {"_info"},
    "histogram": {"_bucket", "_count", "_sum", "_created"},
    "gaugehistogram": {"_bucket", "_gcount", "_gsum"},
    "summary": {"", "_count", "_sum", "_created"},
    "unknown": {""},
}

DECLARE = {
    "counter": lambda registry: Counter("m", "M.", registry=registry).inc(),
    "gauge": lambda registry: Gauge("m", "M.", registry=registry).set(1),
    "summary": lambda registry: Summary("m", "M.", registry=registry).observe(1),
    "histogram": lambda registry: Histogram("m", "M.", registry=registry).observe(1),
    "info": lambda registry: Info("m", "M.", registry=registry).info({"a": "b"}),
    "stateset": lambda registry: Enum("m", "M.", states=["on", "off"], registry=registry).state("on"),
}


@pytest.fixture(params=["memory", "memory with locks", "shared", "shared with locks"])
def storage(request, tmp_path):
    locking = request.param.endswith("locks")
    if request.param.startswith("memory"):
        yield MemoryStorage(locking=locking)
        return
    storage = SharedStorage(str(tmp_path / "shared"), locking=locking)
    yield storage
    storage.close()


@pytest.mark.parametrize("kind", DECLARED)
def test_every_storage_keeps_every_kind_that_can_be_declared(kind, storage):
    registry = CollectorRegistry(storage=storage)
    DECLARE[kind](registry)
    (family,) = (family for family in registry.collect() if family.name == "m")
    assert family.type == kind
    assert 1.0 in [sample.value for sample in family.samples]


@pytest.mark.parametrize("buckets", [(), (1, 2)], ids=["native only", "both"])
def test_every_storage_keeps_native_histograms(buckets, storage):
    registry = CollectorRegistry(storage=storage)
    Histogram("m", "M.", native=True, buckets=buckets, registry=registry).observe(1)
    (family,) = (family for family in registry.collect() if family.name == "m")
    (native,) = (sample.native_histogram for sample in family.samples if sample.native_histogram)
    assert (native.count_value, native.sum_value) == (1, 1)


@pytest.mark.parametrize("kind", DECLARED)
def test_a_child_of_a_metric_has_the_samples_of_its_kind(kind):
    registry = CollectorRegistry()
    DECLARE[kind](registry)
    (family,) = registry.collect()
    suffixes = {sample.name.removeprefix("m") for sample in family.samples}
    quantiles = {""} if kind == "summary" else set()  # no metric of this library computes them
    assert suffixes == set(KINDS[kind].value_suffixes) - quantiles


@pytest.mark.parametrize("kind", DECLARED)
def test_created_samples_are_exposed_for_the_kinds_that_have_them(kind):
    registry = CollectorRegistry()
    asyncmetrics.enable_created_metrics()
    try:
        DECLARE[kind](registry)
        (family,) = registry.collect()
        names = {sample.name for sample in family.samples}
    finally:
        asyncmetrics.disable_created_metrics()
    assert ("m_created" in names) == KINDS[kind].has_created


@pytest.mark.parametrize("kind", DECLARED)
def test_the_child_of_a_kind_with_a_value_has_it_as_an_attribute(kind, storage):
    registry = CollectorRegistry(storage=storage)
    DECLARE[kind](registry)
    (family,) = (family for family in collect_within(registry) if family.name == "m")
    points = [point for batch in family.read_batches() for point in batch]
    assert [getattr(point, "value", None) == 1.0 for point in points] == [KINDS[kind].has_value]


def test_programs_can_declare_kinds_of_the_table_only():
    assert set(DECLARED) == set(DECLARE) <= set(KINDS)


def test_the_types_of_families_are_the_kinds_in_the_order_of_prometheus_client():
    assert METRIC_TYPES == tuple(KINDS) == THEIR_METRIC_TYPES


def test_the_suffixes_are_those_of_openmetrics():
    assert {kind.name: set(kind.suffixes) for kind in KINDS.values()} == SUFFIXES


def test_only_info_and_stateset_have_no_unit():
    """OpenMetrics 1.0, "StateSet" and "Info": the unit has to be empty."""
    assert {kind.name for kind in KINDS.values() if not kind.has_unit} == {"info", "stateset"}


def test_only_counters_and_buckets_have_exemplars():
    """OpenMetrics 1.0, "Exemplars"."""
    assert {(kind.name, suffix) for kind in KINDS.values() for suffix in kind.exemplars} == {
        ("counter", "_total"), ("histogram", "_bucket"), ("gaugehistogram", "_bucket")
    }  # fmt: skip


def test_every_merge_has_a_rule():
    assert set(MERGE_RULES) == set(get_args(Merge)) == {KINDS[kind].merge for kind in DECLARED}


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_what_a_row_says_of_suffixes_is_about_suffixes_that_it_has(kind):
    named = {*kind.totals, *kind.whole, *kind.exemplars, kind.own_suffix if kind.own_label else kind.suffixes[0]}
    assert named <= set(kind.suffixes)


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_the_text_format_has_the_type_that_a_row_names(kind):
    assert kind.text_type in {"counter", "gauge", "summary", "histogram", "untyped"}
    assert kind.text_suffix in {"", *kind.suffixes}


def test_own_labels():
    own = {kind.name: kind.get_own_label("m", kind.own_suffix) for kind in KINDS.values() if kind.own_label}
    assert own == {"summary": "quantile", "histogram": "le", "gaugehistogram": "le", "stateset": "m"}
    assert set(own.values()) - {"m"} == NUMERIC_LABELS
    assert KINDS["histogram"].get_own_label("m", "_sum") == ""


def test_gauges_and_the_sums_of_gauge_histograms_can_be_negative():
    assert {suffix for kind in KINDS.values() for suffix in kind.suffixes if not is_never_negative(suffix)} == {
        "", "_created", "_gsum", "_info"
    }  # fmt: skip
