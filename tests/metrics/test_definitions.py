"""Declaring metrics: names, what is refused, what is there already."""

from __future__ import annotations

import inspect

import pytest

from asyncmetrics import (
    CallMetrics,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    exponential_buckets,
    linear_buckets,
)
from asyncmetrics.children.interfaces import (
    CounterChild,
    EnumChild,
    GaugeChild,
    HistogramChild,
    InfoChild,
    SummaryChild,
)
from asyncmetrics.children.table import Child
from asyncmetrics.errors import DefinitionError, DuplicateMetricError, LabelError
from asyncmetrics.metrics import MetricWrapperBase
from asyncmetrics.metrics._base import Resolver
from asyncmetrics.model.native import NativeOptions


@pytest.mark.parametrize("name", ["", "1a", "a b", "a-b", "a\n", 'a"', "ä b", None])
def test_a_bad_metric_name_is_refused_by_name(name, registry):
    with pytest.raises(DefinitionError):
        Counter(name, "C.", registry=registry)
    assert list(registry.collect()) == []


@pytest.mark.parametrize("name", ["", "1a", "a b", "a-b", "__a", "a:b", None])
def test_a_bad_label_name_is_refused_by_name(name, registry):
    with pytest.raises(DefinitionError, match="label name"):
        Counter("c", "C.", [name], registry=registry)


@pytest.mark.parametrize(("kind", "label"), [(Histogram, "le"), (Summary, "quantile")])
def test_a_reserved_label_is_refused(kind, label, registry):
    with pytest.raises(DefinitionError, match=label):
        kind("m", "M.", [label], registry=registry)
    with pytest.raises(DefinitionError, match=label):
        kind("m", "M.", context_labels=[label], registry=registry)


def test_the_label_of_an_enums_states_is_its_own(registry):
    with pytest.raises(DefinitionError, match="reserved"):
        Enum("e", "E.", ["e"], states=["a"], registry=registry)


@pytest.mark.parametrize("labels", [["a", "a"], "ab"])
def test_labels_are_different_names_in_a_sequence(labels, registry):
    with pytest.raises(DefinitionError):
        Counter("c", "C.", labels, registry=registry)


@pytest.mark.parametrize("labels", [["größe", "gräße"], ["a.b", "a_b"]])
def test_labels_that_are_written_alike_cannot_stand_together(labels, registry):
    """Children that differ in them would be one series for a server that knows neither dots nor other scripts."""
    with pytest.raises(DefinitionError, match="escaped form"):
        Counter("c", "C.", labels, registry=registry)
    with pytest.raises(DefinitionError, match="escaped form"):
        Counter("c", "C.", labels[:1], context_labels=labels[1:], registry=registry)


def test_a_label_is_not_written_like_that_of_an_enums_states(registry):
    with pytest.raises(DefinitionError, match="escaped form"):
        Enum("größe", "E.", ["gr__e"], states=["a"], registry=registry)


def test_an_enum_has_no_colon_in_its_name(registry):
    """The label of its states is called so, and no label has one."""
    with pytest.raises(DefinitionError, match="expected no ':'"):
        Enum("a:b", "E.", states=["a"], registry=registry)


def test_facts_are_not_written_like_labels(registry):
    info = Info("i", "I.", ["größe"], registry=registry)
    with pytest.raises(LabelError, match="escaped form"):
        info.labels("1").info({"gräße": "2"})


def test_a_label_is_not_from_the_call_and_the_context_at_once(registry):
    with pytest.raises(DefinitionError, match="twice"):
        Counter("c", "C.", ["a"], context_labels=["a"], registry=registry)


@pytest.mark.parametrize("name", ["jobs", "jobs_total"])
def test_total_may_be_left_out_of_a_counters_name(name, registry):
    Counter(name, "C.", registry=registry).inc()
    assert registry.get_sample_value("jobs_total") == 1


def test_the_parts_of_a_name_are_joined(registry):
    Gauge("size", "G.", namespace="shop", subsystem="queue", unit="bytes", registry=registry).set(1)
    assert registry.get_sample_value("shop_queue_size_bytes") == 1


def test_a_unit_that_the_name_has_is_not_written_twice(registry):
    Gauge("size_bytes", "G.", unit="bytes", registry=registry).set(1)
    assert registry.get_sample_value("size_bytes") == 1


@pytest.mark.parametrize(("kind", "options"), [(Info, {}), (Enum, {"states": ["a"]})])
def test_infos_and_enums_have_no_unit(kind, options, registry):
    with pytest.raises(DefinitionError, match="unit"):
        kind("m", "M.", unit="bytes", registry=registry, **options)


@pytest.mark.parametrize("buckets", [[], [2, 1], [1, 1], ["x"], [float("nan")], [float("inf")], [None]])
def test_buckets_that_are_no_increasing_numbers_are_refused(buckets, registry):
    with pytest.raises(DefinitionError, match="bucket"):
        Histogram("h", "H.", buckets=buckets, registry=registry)


def test_buckets_may_be_any_iterable(registry):
    Histogram("h", "H.", buckets=(x for x in (1, "2")), registry=registry)
    assert registry.get_sample_value("h_bucket", {"le": "2.0"}) == 0


def test_the_helpers_make_buckets():
    assert linear_buckets(1, 2, 3) == [1, 3, 5]
    assert exponential_buckets(1, 2, 4) == [1, 2, 4, 8]


@pytest.mark.parametrize(
    "make",
    [
        lambda: linear_buckets(1, 0, 3),
        lambda: linear_buckets(1, 1, 0),
        lambda: exponential_buckets(0, 2, 3),
        lambda: exponential_buckets(1, 1, 3),
        lambda: exponential_buckets(1, 2, 0),
    ],
)
def test_buckets_that_would_not_grow_are_refused(make):
    with pytest.raises(DefinitionError, match="buckets"):
        make()


@pytest.mark.parametrize("states", [(), ["a", "a"], [1]])
def test_an_enum_needs_different_states(states, registry):
    with pytest.raises(DefinitionError, match="states"):
        Enum("e", "E.", states=states, registry=registry)


@pytest.mark.parametrize("options", [{"max_children": 0}, {"ttl": 0}, {"ttl": -1}])
def test_limits_that_make_no_sense_are_refused(options, registry):
    with pytest.raises(DefinitionError):
        Counter("c", "C.", ["a"], registry=registry, **options)


def test_a_gauge_mode_that_is_none_is_refused(registry):
    with pytest.raises(DefinitionError, match="multiprocess_mode"):
        Gauge("g", "G.", multiprocess_mode="average", registry=registry)


def test_a_name_that_is_taken_is_refused_with_the_one_that_has_it(registry):
    first = Counter("c", "C.", registry=registry)
    with pytest.raises(DuplicateMetricError) as caught:
        Counter("c_total", "Again.", registry=registry)
    assert caught.value.existing is first
    assert isinstance(caught.value, ValueError)


def test_exist_ok_returns_the_equal_metric(registry):
    first = Histogram("h", "H.", ["a"], buckets=[1, 2], registry=registry)
    again = Histogram("h", "Another help.", ["a"], buckets=[1, 2.0, "+Inf"], registry=registry, exist_ok=True)
    assert again is first


def test_get_or_create_makes_it_once(registry):
    make = lambda: registry.get_or_create(Counter, "c", "C.", ["a"])
    assert make() is make()


@pytest.mark.parametrize(
    "other",
    [
        lambda registry: Gauge("h", "H.", registry=registry, exist_ok=True),
        lambda registry: Histogram("h", "H.", ["a"], registry=registry, exist_ok=True),
        lambda registry: Histogram("h", "H.", buckets=[5], registry=registry, exist_ok=True),
    ],
)
def test_exist_ok_refuses_a_metric_that_differs(other, registry):
    Histogram("h", "H.", registry=registry)
    with pytest.raises(DuplicateMetricError, match="differs"):
        other(registry)


def provide():
    return None


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [
        (None, "trace", "exemplars=None and not exemplars='trace'"),
        ("trace", "traceparent", "exemplars='trace' and not exemplars='traceparent'"),
        ("traceparent", provide, "exemplars='traceparent' and not exemplars=<function>"),
        (provide, "trace", "exemplars=<function> and not exemplars='trace'"),
    ],
)
@pytest.mark.parametrize("kind", [Counter, Histogram, CallMetrics])
def test_exist_ok_refuses_a_metric_that_has_other_exemplars(kind, first, second, difference, registry):
    pytest.importorskip("opentelemetry.trace")
    kind("m", "M.", registry=registry, exemplars=first)
    for exist_ok in (True, False):
        with pytest.raises(DuplicateMetricError, match=f"it differs: it has {difference}"):
            kind("m", "M.", registry=registry, exemplars=second, exist_ok=exist_ok)


@pytest.mark.parametrize("second", [None, lambda: None], ids=["none", "the function of a module that ran again"])
def test_exist_ok_returns_a_metric_that_has_the_exemplars(second, registry):
    first = Counter("c", "C.", registry=registry, exemplars=provide)
    assert Counter("c", "C.", registry=registry, exemplars=second, exist_ok=True) is first


def test_a_metric_of_no_registry_works_alone():
    counter = Counter("alone", "C.", registry=None)
    counter.inc()
    (family,) = counter.collect()
    assert family.samples[0].value == 1


def test_the_attributes_of_a_metric_describe_it(registry):
    counter = Counter("c", "C.", ["a"], registry=registry)
    assert (repr(counter), repr(counter.labels("x"))) == ("Counter('c_total')", "c_total{a='x'}")


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        (Counter, {"buckets": [1]}),
        (Summary, {"states": ["a"]}),
        (Info, {"multiprocess_mode": "sum"}),
        (Gauge, {"buckets": []}),
        (Histogram, {"multiprocess_mode": "sum"}),
        (Enum, {"states": ["a"], "buckets": [1]}),
        (Gauge, {"per_worker": True}),
        (Info, {"per_worker": True}),
    ],
)
def test_an_option_of_another_kind_is_refused_by_name(kind, option, registry):
    with pytest.raises(TypeError, match=f"{kind.__name__}.*{list(option)[-1]}"):
        kind("m", "M.", registry=registry, **option)
    assert list(registry.collect()) == []


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        (Counter, {"per_worker": False, "exemplars": None}),
        (Gauge, {"multiprocess_mode": "all"}),
        (
            Histogram,
            {
                "buckets": Histogram.DEFAULT_BUCKETS,
                "per_worker": False,
                "native": False,
                "max_buckets": 160,
                "zero_threshold": 2.0**-128,
                "max_zero_threshold": 0.0,
                "min_reset_seconds": 0.0,
                "exemplars": None,
            },
        ),
        (Enum, {"states": None}),
        (MetricWrapperBase, {}),
    ],
)
def test_a_signature_shows_the_options_of_its_own_kind(kind, option):
    parameters = inspect.signature(kind).parameters.values()
    shared = {"context_labels": (), "omit_empty": False, "max_children": 100_000, "ttl": None, "exist_ok": False}
    named = {item.name: item.default for item in parameters if item.kind is item.KEYWORD_ONLY}
    assert named == option | shared


@pytest.mark.parametrize(
    "interface",
    [CounterChild, GaugeChild, SummaryChild, HistogramChild, InfoChild, EnumChild, Child, Resolver],
)
def test_an_interface_cannot_be_instantiated(interface):
    with pytest.raises(TypeError, match="abstract"):
        interface()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"native": 9}, r"native= to be True, False or a schema from -4 \(widest buckets\) to 8, got 9"),
        ({"native": None}, "native= to be True, False or a schema .*, got None"),
        ({"native": "5"}, "native= to be True, False or a schema .*, got the string '5'"),
        ({"native": True, "max_buckets": 0}, "max_buckets= to be an int of 1 or more, or None, got 0"),
        ({"native": True, "max_buckets": 10.0}, "max_buckets= to be an int of 1 or more, or None, got 10.0: write 10"),
        ({"native": True, "zero_threshold": -1}, "zero_threshold= to be 0 or more, as a finite number, got -1"),
        ({"native": True, "zero_threshold": float("nan")}, "zero_threshold= to be 0 or more, .*, got nan"),
        ({"native": True, "max_zero_threshold": None}, "max_zero_threshold= to be 0 or more, .*, got None"),
        ({"native": True, "max_zero_threshold": True}, "max_zero_threshold= to be 0 or more, .*, got True"),
        ({"native": True, "min_reset_seconds": "1h"}, "min_reset_seconds= to be 0 seconds or more, .*'1h'"),
        ({"native": True, "min_reset_seconds": 10**400}, "min_reset_seconds= to be 0 seconds or more"),
        ({"max_buckets": None}, "native= to be True, since max_buckets= is an option of native histograms, got False"),
        ({"min_reset_seconds": 5}, "native= to be True, since min_reset_seconds= is an option of native histograms"),
        ({"buckets": ()}, "buckets= to be .*: a histogram without classic buckets needs native=True"),
    ],
)
def test_a_wrong_option_of_a_native_histogram_is_refused(options, message, registry):
    with pytest.raises(DefinitionError, match=f"^h: expected {message}"):
        Histogram("h", "H.", registry=registry, **options)


def test_the_options_of_a_native_histogram_are_fixed_by_its_declaration(registry):
    options = {"max_buckets": None, "zero_threshold": 0, "max_zero_threshold": 1, "min_reset_seconds": 3600}
    histogram = Histogram("h", "H.", native=-4, registry=registry, **options)
    assert histogram.descriptor.native == NativeOptions(-4, None, 0.0, 1.0, 3600.0)
    assert Histogram("h", "H.", native=-4, registry=registry, exist_ok=True, **options) is histogram


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({}, "native=4 and not False"),
        ({"native": True}, "native=4 and not True"),
        ({"native": 4, "max_buckets": 3}, "max_buckets=160 and not 3"),
        ({"native": 4, "buckets": ()}, r"buckets=\[1.0, inf\] and not \[\]"),
    ],
)
def test_a_different_native_histogram_is_refused_with_the_options_as_they_were_written(options, difference, registry):
    Histogram("h", "H.", native=4, buckets=[1], registry=registry)
    with pytest.raises(DuplicateMetricError, match=f"it has {difference}"):
        Histogram("h", "H.", exist_ok=True, registry=registry, **{"buckets": [1], **options})
