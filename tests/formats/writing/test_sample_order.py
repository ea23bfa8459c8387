"""The samples of one child of a custom family: OpenMetrics asks for them together, in order and complete."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics.core import Exemplar, HistogramMetricFamily, Metric, Sample, Timestamp
from asyncmetrics.formats.reading.openmetrics import parse_openmetrics
from asyncmetrics.formats.writing.openmetrics import encode_openmetrics
from asyncmetrics.formats.writing.text import encode_text


def kept(kind, samples, written, name="a", **options):
    """Return the sample lines of one family, after the parser has accepted its exposition."""
    family = Metric(name, "", kind)
    family.samples = [Sample(*sample) for sample in samples]
    text = written(encode_openmetrics, [family], **options)
    list(parse_openmetrics(text))
    return [line for line in text.split("\n") if line and line[0] != "#"]


def test_the_samples_of_a_child_are_put_together(written):
    samples = [(f"a_{what}", {"b": child}, 1) for what in ("count", "sum") for child in "yx"]
    assert [line[:14] for line in kept("summary", samples, written)] == [
        'a_count{b="y"}', 'a_sum{b="y"} 1', 'a_count{b="x"}', 'a_sum{b="x"} 1'
    ]  # fmt: skip


def test_buckets_are_put_in_order(written):
    samples = [("a_bucket", {"le": "+Inf"}, 3), ("a_bucket", {"le": "0.5"}, 1), ("a_bucket", {"le": "2"}, 2)]
    assert kept("histogram", samples, written) == [
        'a_bucket{le="0.5"} 1.0', 'a_bucket{le="2.0"} 2.0', 'a_bucket{le="+Inf"} 3.0'
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("1", "1.0"), ("1.50", "1.5"), ("Inf", "+Inf"), ("inf", "+Inf"), ("1000000", "1e+06"), (2, "2.0"), (0.1, "0.1")],
)
def test_bounds_become_canonical(text, canonical, written):
    lines = kept("histogram", [("a_bucket", {"le": text}, 1), ("a_bucket", {"le": "+Inf"}, 1)], written)
    assert lines[0] == f'a_bucket{{le="{canonical}"}} 1.0'
    assert len(lines) == len({"+Inf", canonical})


def test_quantiles_become_canonical(written):
    samples = [("a", {"quantile": text}, 1) for text in ("1", "0.50", "0.5")]
    assert kept("summary", samples, written) == ['a{quantile="1.0"} 1.0', 'a{quantile="0.5"} 1.0']


@pytest.mark.parametrize(
    "samples",
    [
        [("a_bucket", {"le": "1.0"}, 1)],
        [("a_bucket", {"le": "1.0"}, 3), ("a_bucket", {"le": "+Inf"}, 1)],
        [("a_count", {}, 1), ("a_sum", {}, 1)],
        [("a_created", {}, 1)],
        [("a_bucket", {"le": "+Inf"}, -1)],
        [("a_bucket", {"le": "+Inf"}, math.inf)],
    ],
    ids=["no last bucket", "falling", "no bucket", "only created", "negative", "endless"],
)
def test_a_histogram_that_cannot_be_one_costs_only_itself(samples, written):
    good = [("a_bucket", {"b": "c", "le": "+Inf"}, 1)]
    assert kept("histogram", [*samples, *good], written) == ['a_bucket{b="c",le="+Inf"} 1.0']


@pytest.mark.parametrize(
    "totals",
    [{"a_count": 7, "a_sum": 1}, {"a_count": 1}, {"a_sum": 1}, {"a_count": 1, "a_sum": -1}, {"a_count": 1.5}],
    ids=repr,
)
def test_totals_that_do_not_fit_the_buckets_are_left_out(totals, written):
    samples = [("a_bucket", {"le": "+Inf"}, 1), *((name, {}, value) for name, value in totals.items())]
    assert kept("histogram", samples, written) == ['a_bucket{le="+Inf"} 1.0']


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("gauge", ("a", {"b": "c"}, 1), ("a", {"b": "c"}, 2)),
        ("gauge", ("a", {"b": "c", "d": "e"}, 1), ("a", {"d": "e", "b": "c"}, 2)),
        ("gauge", ("a", {"b.c": "d"}, 1), ("a", {"b_c": "d"}, 2)),
        ("gauge", ("a", {"b": 1}, 1), ("a", {"b": "1"}, 2)),
        ("gauge", ("a", {"b": []}, 1, 5), ("a", {"b": "[]"}, 2, 5)),
        ("gauge", ("a", {"b": "\ud800"}, 1), ("a", {"b": "\ud801"}, 2)),
        ("gauge", ("a", {}, 1, 5), ("a", {}, 2, Timestamp(5, 0))),
        ("stateset", ("a", {"a": "on"}, 1), ("a", {"a": "on"}, 0)),
        ("summary", ("a_sum", {"b.c": "d"}, 1), ("a_sum", {"b_c": "d"}, 2)),
    ],
    ids=repr,
)
@pytest.mark.parametrize("form", [encode_openmetrics, encode_text], ids=["openmetrics", "text"])
def test_of_two_samples_of_one_series_the_first_is_written(form, kind, first, second, written):
    family = Metric("a", "", kind)
    family.samples = [Sample(*first), Sample(*second)]
    values = [line for line in written(form, [family]).split("\n") if line and line[0] != "#"]
    assert len(values) == 1
    assert " 1.0" in values[0]


def test_points_of_one_child_go_forward_in_time(written):
    samples = [("a", {"b": "x"}, 2, 2), ("a", {"b": "y"}, 3, 9), ("a", {"b": "x"}, 1, Timestamp(1, 5))]
    assert kept("gauge", samples, written) == [
        'a{b="x"} 1.0 1.000000005', 'a{b="x"} 2.0 2.0', 'a{b="y"} 3.0 9.0'
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("earlier", "later"),
    [(Timestamp(1_700_000_000, 1), Timestamp(1_700_000_000, 2)), (Timestamp(1, 1), 1.5), (-7e-124, -7e-224)],
)
def test_points_that_are_close_together_are_all_written(earlier, later, written):
    lines = kept("gauge", [("a", {}, 2, later), ("a", {}, 1, earlier)], written)
    assert [line[:5] for line in lines] == ["a 1.0", "a 2.0"]


@pytest.mark.parametrize(
    ("time", "before"),
    [(1_700_000_000.3, Timestamp(1_700_000_000, 299_999_999)), (0.3, Timestamp(0, 299_999_999))],
)
def test_a_time_is_what_its_digits_state(time, before, written):
    """The double of .3 is a bit less: the parser, which reads the digits, would see a time that goes back."""
    lines = kept("gauge", [("a", {}, 2, time), ("a", {}, 1, before)], written)
    assert [line[:5] for line in lines] == ["a 1.0", "a 2.0"]


def test_a_float_and_a_timestamp_of_the_same_digits_are_one_time(written):
    assert kept("gauge", [("a", {}, 1, 0.1), ("a", {}, 2, Timestamp(0, 100_000_000))], written) == ["a 1.0 0.1"]


def test_of_points_with_and_without_time_the_one_without_is_written(written):
    assert kept("gauge", [("a", {}, 1, 5), ("a", {}, 2), ("a", {}, 3, 6)], written) == ["a 2.0"]


def test_the_states_of_a_family_with_an_escaped_name_are_one_child(written):
    samples = [("a.b", {"a.b": state, "c": "d"}, state == "on") for state in ("on", "off")]
    assert kept("stateset", samples, written, name="a.b") == ['a_b{a_b="on",c="d"} 1.0', 'a_b{a_b="off",c="d"} 0.0']


@pytest.mark.parametrize(
    ("bound", "value", "there"),
    [("1.0", 1, True), ("1.0", 1.5, False), ("+Inf", 9, True), ("+Inf", math.nan, False)],
)
def test_an_exemplar_stands_in_its_bucket_only(bound, value, there, written):
    family = HistogramMetricFamily("a", "", [(bound, 1, Exemplar({}, value)), ("+Inf", 1)], 1)
    family.samples = family.samples[:1] if bound == "+Inf" else family.samples[:2]
    text = written(encode_openmetrics, [family])
    list(parse_openmetrics(text))
    assert (" # {} " in text) is there


def test_a_nul_in_an_exemplar_is_replaced(written):
    """Prometheus 2.42 gives up the whole scrape at a NUL there."""
    assert kept("counter", [("a_total", {}, 1, None, Exemplar({"id": "x\0y"}, 1))], written) == [
        'a_total 1.0 # {id="x\ufffdy"} 1.0'
    ]


@pytest.mark.parametrize(
    "exemplar", ["trace", Exemplar(None, 1), Exemplar({}, None), Exemplar({}, 1, math.inf), Exemplar({}, 1, "soon")]
)
def test_a_bad_exemplar_costs_only_itself(exemplar, written):
    assert kept("counter", [("a_total", {}, 1, None, exemplar)], written) == ["a_total 1.0"]


@pytest.mark.parametrize("name", ["__name__", "..name..", "", b"__name__"])
@pytest.mark.parametrize("form", [encode_openmetrics, encode_text], ids=["openmetrics", "text"])
def test_the_label_that_is_the_metrics_name_is_left_out(form, name, written):
    """Prometheus gives up the whole scrape: label name "__name__" is not unique."""
    family = Metric("a", "", "gauge")
    family.add_sample("a", {name: "b", "c": "d"}, 1)
    line = written(form, [family]).split("\n")[2]
    assert line == ('a{c="d"} 1.0' if isinstance(name, str) else 'a{b___name___="b",c="d"} 1.0')


@pytest.mark.parametrize(
    "when", [1e306, 1e200, -1e200, -5, Timestamp(-1, 5), Timestamp(10**400, 0), Timestamp(10**16, 0)], ids=str
)
def test_a_time_that_no_server_can_read_costs_its_sample_in_text(when, written):
    family = Metric("a", "", "gauge")
    family.samples = [Sample("a", {"b": "c"}, 1, when), Sample("a", {}, 1)]
    assert written(encode_text, [family]).split("\n")[2:] == ["a 1.0", ""]


@pytest.mark.parametrize(
    ("kind", "name", "label"),
    [
        ("histogram", "a_bucket", "le"),
        ("histogram", "a_sum", "le"),
        ("gaugehistogram", "a_gsum", "le"),
        ("summary", "a", "quantile"),
        ("summary", "a_count", "quantile"),
    ],
)
def test_a_bound_that_is_no_number_costs_its_sample_in_text(kind, name, label, written):
    """promtool gives up the whole text, whichever sample of the family has it."""
    family = Metric("a", "", kind)
    family.samples = [Sample(name, {label: "x"}, 1), Sample(name, {label: "1"}, 2)]
    assert [line for line in written(encode_text, [family]).split("\n") if line and line[0] != "#"] == [
        f'{name}{{{label}="1"}} 2.0'
    ]


@given(order=st.permutations(range(8)))
def test_a_histogram_in_any_order_is_written_whole(order, written):
    bounds = [("1", 1), ("2", 2), ("+Inf", 3)]
    samples = [("a_bucket", {"le": le, "b": child}, count) for child in "xy" for le, count in bounds]
    samples += [("a_count", {"b": "x"}, 3), ("a_sum", {"b": "x"}, 5)]
    lines = kept("histogram", [samples[index] for index in order], written)
    assert len(lines) == 8


def test_a_family_restricted_to_some_names_may_lack_samples(written):
    family = HistogramMetricFamily("a", "", [("1.0", 1), ("+Inf", 1)], 1)
    part = family.restrict(frozenset({"a_count"}))
    assert "\na_count 1.0\n" in written(encode_openmetrics, [part])
    assert not family.restrict(frozenset({"a"})).partial
