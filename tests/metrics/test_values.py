"""What each metric takes, and what it refuses, value by value."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import inf, isnan, nan

import pytest

from asyncmetrics import Counter, Enum, Gauge, Histogram, Info, Summary
from asyncmetrics.errors import AmountError, AmountTypeError, ExemplarError, LabelError


@pytest.fixture
def value(registry):
    return registry.get_sample_value


@pytest.mark.parametrize("amount", [-1, -0.1, nan, inf, -inf, 10**400, -(10**400)])
def test_a_counter_refuses_what_is_negative_or_not_finite_and_keeps_its_value(amount, registry, value):
    counter = Counter("c", "C.", registry=registry)
    counter.inc(2)
    with pytest.raises(AmountError):
        counter.inc(amount)
    assert value("c_total") == 2


class Odd:
    def __float__(self):
        return 2.5


@pytest.mark.parametrize("amount", [3, 2.5, True, Decimal("2.5"), Fraction(5, 2), Odd()])
@pytest.mark.parametrize("use", ["inc", "set", "observe"])
def test_whatever_float_takes_is_a_number(use, amount, registry, value):
    counter, gauge = Counter("c", "C.", registry=registry), Gauge("g", "G.", registry=registry)
    summary = Summary("s", "S.", registry=registry)
    {"inc": counter.inc, "set": gauge.set, "observe": summary.observe}[use](amount)
    found = value({"inc": "c_total", "set": "g", "observe": "s_sum"}[use])
    assert (found, type(found)) == (float(amount), float)


@pytest.mark.parametrize("amount", [0, 2, 2**30, 2**53 + 1, 10**300, True])
def test_an_int_is_added_as_the_double_next_to_it(amount, registry, value):
    counter, gauge = Counter("c", "C.", registry=registry), Gauge("g", "G.", registry=registry)
    for add in (counter.inc, gauge.inc):
        add(0.25)
        add(amount)
    assert (value("c_total"), value("g")) == (0.25 + float(amount), 0.25 + float(amount))
    gauge.set(0.25)
    gauge.dec(amount)
    assert (value("g"), type(value("g")), type(value("c_total"))) == (0.25 - float(amount), float, float)


@pytest.mark.parametrize("amount", ["1", b"1", None, [], object(), 1j])
def test_an_amount_that_is_no_number_is_a_type_error_that_names_the_metric(amount, registry):
    gauge, histogram = Gauge("my_g", "G.", registry=registry), Histogram("my_h", "H.", registry=registry)
    counter, summary = Counter("my_c", "C.", registry=registry), Summary("my_s", "S.", registry=registry)
    for use in (gauge.inc, gauge.dec, gauge.set, histogram.observe, counter.inc, summary.observe):
        with pytest.raises(AmountTypeError, match="my_[ghcs]"):
            use(amount)


@pytest.mark.parametrize("amount", [10**309, -(10**309), Fraction(10**400)])
def test_a_number_that_no_double_holds_is_an_error_that_names_metric_and_amount(amount, registry):
    gauge, histogram = Gauge("my_g", "G.", registry=registry), Histogram("my_h", "H.", registry=registry)
    counter, summary = Counter("my_c", "C.", registry=registry), Summary("my_s", "S.", registry=registry)
    for use in (gauge.inc, gauge.dec, gauge.set, histogram.observe, counter.inc, summary.observe):
        with pytest.raises(AmountError, match=r"my_[ghcs].*10000") as raised:
            use(amount)
        assert raised.value.amount is amount
        assert len(str(raised.value)) < 400


def test_a_number_of_more_digits_than_python_writes_is_refused_as_well(registry):
    with pytest.raises(AmountError, match="an int of 16610 bits"):
        Gauge("g", "G.", registry=registry).set(10**5000)


def test_the_largest_int_that_a_double_holds_is_taken(registry, value):
    Gauge("g", "G.", registry=registry).set(int(1.7976931348623157e308))
    assert value("g") == 1.7976931348623157e308


@pytest.mark.parametrize("amount", [nan, inf, -inf, -1e300])
def test_a_gauge_takes_any_double(amount, registry, value):
    gauge = Gauge("g", "G.", registry=registry)
    gauge.set(amount)
    found = value("g")
    assert found == amount or (isnan(found) and isnan(amount))


@pytest.mark.parametrize("kind", [Histogram, Summary])
def test_nan_is_not_observed_but_counted_as_dropped(kind, registry, value):
    metric = kind("m", "M.", registry=registry)
    metric.observe(1)
    metric.observe(nan)
    assert (value("m_count"), value("m_sum")) == (1, 1)
    assert value("asyncmetrics_dropped_observations_total", {"metric": "m"}) == 1


def test_infinities_are_observed_in_their_buckets(registry, value):
    histogram = Histogram("h", "H.", buckets=[1], registry=registry)
    histogram.observe(inf)
    histogram.observe(0.5)
    assert (value("h_bucket", {"le": "1.0"}), value("h_bucket", {"le": "+Inf"}), value("h_sum")) == (1, 2, inf)
    histogram.observe(-inf)
    assert (value("h_bucket", {"le": "1.0"}), value("h_count")) == (2, 3)
    assert isnan(value("h_sum"))


def test_a_bound_belongs_to_its_bucket(registry, value):
    histogram = Histogram("h", "H.", buckets=[1, 2], registry=registry)
    for amount in (1, 1.0000001, 2, 3):
        histogram.observe(amount)
    assert [value("h_bucket", {"le": le}) for le in ("1.0", "2.0", "+Inf")] == [1, 3, 4]


def test_a_histogram_with_a_negative_bound_has_a_count_and_no_sum(registry, value):
    histogram = Histogram("h", "H.", buckets=[-1, 1], registry=registry)
    histogram.observe(-2)
    assert (value("h_bucket", {"le": "-1.0"}), value("h_count"), value("h_sum")) == (1, 1, None)


def test_the_default_buckets_are_those_of_the_semantic_conventions():
    assert Histogram.DEFAULT_BUCKETS == (
        0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, inf,
    )  # fmt: skip


def test_a_counter_can_be_reset(registry, value):
    counter = Counter("c", "C.", registry=registry)
    counter.inc(5, exemplar={"trace_id": "a"})
    counter.reset()
    (family,) = registry.collect()
    assert (value("c_total"), family.samples[0].exemplar) == (0, None)


@pytest.mark.parametrize(
    "exemplar",
    [{"a": "x" * 128}, {'a"': "x"}, {"a\n": "x"}, {"": "x"}, {"a": 1}, {1: "a"}, "text", {"__name__": "x"}],
)
def test_a_bad_exemplar_is_refused_and_nothing_is_counted(exemplar, registry, value):
    counter, histogram = Counter("c", "C.", registry=registry), Histogram("h", "H.", registry=registry)
    with pytest.raises(ExemplarError):
        counter.inc(1, exemplar)
    with pytest.raises(ExemplarError):
        histogram.observe(1, exemplar)
    assert (value("c_total"), value("h_count")) == (0, 0)


def test_an_exemplar_is_kept_in_the_bucket_of_its_observation(registry):
    histogram = Histogram("h", "H.", buckets=[1, 2], registry=registry)
    histogram.observe(1.5, {"trace_id": "abc"})
    (family,) = registry.collect()
    assert [(s.labels.get("le"), s.exemplar and s.exemplar.labels) for s in family.samples[:3]] == [
        ("1.0", None), ("2.0", {"trace_id": "abc"}), ("+Inf", None),
    ]  # fmt: skip


def test_info_replaces_its_facts(registry, value):
    info = Info("build", "B.", registry=registry)
    info.info({"version": "1"})
    info.info({"version": "2", "odd": "\ud800"})
    assert value("build_info", {"version": "2", "odd": "\ufffd"}) == 1
    assert value("build_info", {"version": "1"}) is None


@pytest.mark.parametrize("facts", [{"kind": "x"}, {"a": None}, {"a b": "x"}, {"": "x"}, "text"])
def test_facts_that_cannot_be_labels_are_refused(facts, registry):
    with pytest.raises(LabelError, match="build"):
        Info("build", "B.", ["kind"], registry=registry).labels("x").info(facts)


def test_an_enum_begins_in_its_first_state(registry, value):
    enum = Enum("state", "S.", states=["idle", "busy"], registry=registry)
    assert (value("state", {"state": "idle"}), value("state", {"state": "busy"})) == (1, 0)
    enum.state("busy")
    assert (value("state", {"state": "idle"}), value("state", {"state": "busy"})) == (0, 1)


def test_a_state_that_was_not_declared_is_refused(registry):
    with pytest.raises(LabelError, match=r"\['idle'\].*'away'"):
        Enum("state", "S.", states=["idle"], registry=registry).state("away")


def test_a_metric_without_labels_is_exposed_as_zero_from_the_start(registry, value):
    Counter("c", "C.", registry=registry)
    Histogram("h", "H.", registry=registry)
    assert (value("c_total"), value("h_count")) == (0, 0)
