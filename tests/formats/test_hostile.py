"""Custom collectors that yield nonsense: all valid samples are written, and no line is broken or added."""

from __future__ import annotations

import math
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmetrics.core import Exemplar, GaugeHistogramMetricFamily, HistogramMetricFamily, Metric, Sample, Timestamp
from asyncmetrics.formats.reading.openmetrics import parse_openmetrics
from asyncmetrics.formats.reading.text import parse_prometheus
from asyncmetrics.formats.writing.openmetrics import encode_openmetrics
from asyncmetrics.formats.writing.text import encode_text
from asyncmetrics.model.escaping import ESCAPING_SCHEMES
from asyncmetrics.model.family import METRIC_TYPES
from tests.thoroughness import examples

FORMATS = [encode_text, encode_openmetrics]
PAIRS = [(encode_text, parse_prometheus), (encode_openmetrics, parse_openmetrics)]
TEXTS = st.text(st.sampled_from('\n\r"\\#{}= a\ud800é.') | st.characters(), max_size=6)
NONSENSE = (
    st.none() | TEXTS | st.integers(-5, 10**400) | st.floats() | st.booleans() | st.binary(max_size=3) | st.just([])
)
NAMES = TEXTS | st.sampled_from(
    ["a", "a_total", "a_bucket", "a_sum", "a_count", "a_created", "a_info", "", "b", "a.b", "a_gsum"]
)
LABELS = st.dictionaries(st.sampled_from(["le", "quantile", "a", "", "x.y", "x_y"]) | TEXTS, NONSENSE, max_size=4)
WHEN = NONSENSE | st.builds(Timestamp, st.integers(-5, 5), st.integers(0, 999))
EXEMPLARS = NONSENSE | st.builds(Exemplar, LABELS | NONSENSE, NONSENSE, WHEN)
SAMPLES = st.builds(Sample, NAMES | NONSENSE, LABELS | NONSENSE, NONSENSE, WHEN, EXEMPLARS, st.none())


BOUNDS = st.sampled_from(["1", "1.0", "2", "+Inf", "Inf", "-1", "nan", "x", 1, math.inf])
COUNTS = st.sampled_from([0, 1, 2, 0.5, -1, math.nan, math.inf])


class _Odd:
    """An object of a collector whose methods all raise."""

    def __str__(self):
        raise RuntimeError("no text")

    __float__ = __str__

    def __repr__(self):
        return "ODD"


ODD = _Odd()


@st.composite
def hostile_families(draw):
    """Draw one to three families whose names and samples clash."""
    families = []
    for name in draw(st.lists(st.sampled_from(["a", "a.b", "a_b", "b", "größe", "a_count", "a_total"]), min_size=1)):
        family = Metric(name, draw(NONSENSE), draw(st.sampled_from(METRIC_TYPES)))
        if draw(st.booleans()):
            buckets = draw(st.lists(st.tuples(BOUNDS, COUNTS), max_size=4))
            family.samples = [Sample(f"{name}_bucket", {"le": bound}, count) for bound, count in buckets]
        family.samples += draw(st.lists(SAMPLES | NONSENSE, max_size=5))
        family.unit = draw(NONSENSE)
        families.append(family)
    return families


@pytest.mark.parametrize("escaping", ESCAPING_SCHEMES)
@pytest.mark.parametrize(("form", "parse"), PAIRS, ids=["text", "openmetrics"])
@given(families=hostile_families())
def test_whatever_is_collected_the_exposition_is_valid(form, parse, escaping, families, written):
    """The parser checks every rule of the format: order, children, buckets, duplicates."""
    text = written(form, families, escaping=escaping)
    found = sum(len(family.samples) for family in parse(text))
    assert found <= sum(len(family.samples) for family in families)
    assert sum(line[:1] not in {"#", ""} for line in text.split("\n")) == found


@pytest.mark.real
@settings(max_examples=examples(50))
@given(families=hostile_families())
def test_promtool_takes_whatever_is_collected(binary, families, written):
    text = written(encode_text, families)
    done = subprocess.run(
        [binary("promtool"), "check", "metrics"], input=text, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode in {0, 3}, done.stderr  # 3 is its opinion of names and helps


@pytest.mark.parametrize("form", FORMATS, ids=["text", "openmetrics"])
@pytest.mark.parametrize(
    "sample",
    [
        None,
        "level 1",
        Sample(None, {}, 1),
        Sample("", {}, 1),
        Sample("level\n", {}, 1),
        Sample("level", None, 1),
        Sample("level", {}, None),
        Sample("level", {}, "many"),
        Sample("level", {}, 10**400),
        Sample("level", {}, 1, "soon"),
        Sample("level", {}, 1, math.nan),
        Sample("level", {}, 1, math.inf),
        Sample("level", {}, ODD),
        Sample("level", {"a": ODD}, 1),
        Sample("level", {ODD: "1"}, 1),
        Sample("level", {"a": "1"}, 3),
    ],
    ids=repr,
)
def test_a_bad_sample_costs_only_itself(form, sample, written):
    family = Metric("level", "", "gauge")
    family.samples = [Sample("level", {"a": "1"}, 1), sample, Sample("level", {"a": "2"}, 2)]
    assert [line for line in written(form, [family]).split("\n") if line and line[0] != "#"] == [
        'level{a="1"} 1.0',
        'level{a="2"} 2.0',
    ]


@pytest.mark.parametrize("form", FORMATS, ids=["text", "openmetrics"])
def test_numbers_as_text_and_odd_label_values_are_written(form, written):
    family = Metric("level", "", "gauge")
    family.samples = [Sample("level", {"a": None, "b": 3, "": "x"}, "1.5"), Sample("level", {"a": "\ud800"}, True)]
    lines = written(form, [family]).split("\n")
    assert 'level{a="None",b="3"} 1.5' in lines
    assert 'level{a="\ufffd"} 1.0' in lines


@pytest.mark.parametrize("form", FORMATS, ids=["text", "openmetrics"])
def test_a_carriage_return_in_help_becomes_a_blank(form, written):
    text = written(form, [Metric("level", "one\r\ntwo\rthree", "gauge")])
    assert "# HELP level one \\ntwo three\n" in text
    assert "\r" not in text


@pytest.mark.parametrize("form", FORMATS, ids=["text", "openmetrics"])
def test_help_that_is_no_text_is_written_as_one(form, written):
    assert "# HELP level None\n" in written(form, [Metric("level", None, "gauge")])


@pytest.mark.parametrize(
    ("escaping", "line"),
    [
        ("underscores", 'a_b{c_d="1"} 1.0'),
        ("dots", 'a_dot_b{c_dot_d="1"} 1.0'),
        ("values", 'U__a_2e_b{U__c_2e_d="1"} 1.0'),
        ("allow-utf-8", '{"a.b","c.d"="1"} 1.0'),
    ],
)
@pytest.mark.parametrize("form", FORMATS, ids=["text", "openmetrics"])
def test_the_escaping_schemes(form, escaping, line, written):
    family = Metric("a.b", "", "gauge")
    family.samples = [Sample("a.b", {"c.d": "1"}, 1)]
    assert line in written(form, [family], escaping=escaping).split("\n")


@pytest.mark.parametrize("form", FORMATS, ids=["text", "openmetrics"])
def test_two_labels_that_escape_to_one_are_written_once(form, written):
    family = Metric("level", "", "gauge")
    family.samples = [Sample("level", {"a.b": "1", "a_b": "2"}, 1)]
    assert 'level{a_b="2"} 1.0' in written(form, [family]).split("\n")


def test_a_unit_that_the_written_name_does_not_end_with_is_left_out(written):
    family = Metric("level", "", "gauge", "µs")
    assert "# UNIT" not in written(encode_openmetrics, [family])
    assert '# UNIT "level_µs" µs\n' in written(encode_openmetrics, [family], escaping="allow-utf-8")
    assert list(parse_openmetrics(written(encode_openmetrics, [family], escaping="allow-utf-8"))) == [family]


def _kept(kind, samples, written):
    family = Metric("a", "", kind)
    family.samples = samples
    return [line for line in written(encode_openmetrics, [family]).split("\n") if line and line[0] != "#"]


@pytest.mark.parametrize("value", [-1, math.nan, -math.inf])
def test_openmetrics_leaves_out_negative_counters_and_sums(value, written):
    assert _kept("counter", [Sample("a_total", {}, value)], written) == []
    assert _kept("summary", [Sample("a_count", {}, 1), Sample("a_sum", {}, value)], written) == ["a_count 1.0"]


@pytest.mark.parametrize("value", [-1, math.nan])
def test_a_histogram_whose_sum_is_left_out_loses_its_count(value, written):
    """Neither may be exposed alone (OpenMetrics 1.0, "Histogram"). The +Inf bucket is the count."""
    good = HistogramMetricFamily("a", "", labels=["b"])
    good.add_metric(["x"], [("+Inf", 2)], value)
    good.add_metric(["y"], [("+Inf", 2)], 5)
    text = written(encode_openmetrics, [good])
    [family] = parse_openmetrics(text)
    assert [(s.name, s.labels["b"]) for s in family.samples] == [
        ("a_bucket", "x"), ("a_bucket", "y"), ("a_count", "y"), ("a_sum", "y")
    ]  # fmt: skip
    assert "a_count" in written(encode_text, [good])


def test_a_histogram_with_negative_buckets_has_neither_count_nor_sum(written):
    samples = [Sample("a_bucket", {"le": le}, 1) for le in ("-1.0", "+Inf")] + [
        Sample("a_count", {}, 1),
        Sample("a_sum", {}, 3),
    ]
    assert _kept("histogram", samples, written) == ['a_bucket{le="-1.0"} 1.0', 'a_bucket{le="+Inf"} 1.0']


def test_a_gauge_histogram_may_have_a_negative_sum_of_negative_buckets(written):
    families = [GaugeHistogramMetricFamily("a", "", [("-1.0", 2), ("+Inf", 3)], -4)]
    assert list(parse_openmetrics(written(encode_openmetrics, families)))[0].samples == families[0].samples
    families = [GaugeHistogramMetricFamily("a", "", [("1.0", 2), ("+Inf", 3)], -4)]
    assert len(list(parse_openmetrics(written(encode_openmetrics, families)))[0].samples) == 2


def test_a_gauge_histogram_without_sum_has_no_count_in_openmetrics(written):
    families = [GaugeHistogramMetricFamily("a", "", [("1.0", 2), ("+Inf", 3)], None)]
    [family] = parse_openmetrics(written(encode_openmetrics, families))
    assert [sample.name for sample in family.samples] == ["a_bucket", "a_bucket"]
    assert "a_gcount 3.0\n" in written(encode_text, families)


def test_a_gauge_histogram_becomes_three_families_in_text(written):
    families = [GaugeHistogramMetricFamily("a", "Ages.", [("1.0", 2), ("+Inf", 3)], 4)]
    found = list(parse_prometheus(written(encode_text, families)))
    assert [(family.name, family.type, len(family.samples)) for family in found] == [
        ("a", "histogram", 2), ("a_gcount", "gauge", 1), ("a_gsum", "gauge", 1)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "sample"),
    [
        ("counter", Sample("a", {}, 1)),
        ("info", Sample("a_info", {}, 2)),
        ("stateset", Sample("a", {}, 1)),
        ("stateset", Sample("a", {"a": "on"}, 2)),
        ("summary", Sample("a", {}, 1)),
        ("summary", Sample("a", {"quantile": "2"}, 1)),
        ("histogram", Sample("a_bucket", {}, 1)),
        ("histogram", Sample("a_bucket", {"le": "low"}, 1)),
        ("histogram", Sample("a_bucket", {"le": "+Inf"}, 1.5)),
        ("histogram", Sample("a_count", {}, 1)),
        ("summary", Sample("a_sum", {"quantile": "0.5"}, 1)),
        ("summary", Sample("a_count", {}, 0.5)),
        ("gaugehistogram", Sample("a_gsum", {}, math.nan)),
    ],
)
def test_openmetrics_leaves_out_what_the_type_does_not_have(kind, sample, written):
    assert _kept(kind, [sample], written) == []


@pytest.mark.parametrize(("escaping", "count"), [("underscores", 0), ("dots", 0), ("values", 0), ("allow-utf-8", 1)])
def test_a_stateset_whose_label_cannot_be_called_so_has_no_states(escaping, count, written):
    """OpenMetrics 1.0, "StateSet": the label has the name of the family, and no label may have a colon."""
    family = Metric("a:b", "", "stateset")
    family.samples = [Sample("a:b", {"a:b": "on"}, 1)]
    [found] = parse_openmetrics(written(encode_openmetrics, [family], escaping=escaping))
    assert len(found.samples) == count


def test_created_is_a_gauge_of_its_own_in_text(written):
    family = Metric("a", "", "counter")
    family.samples = [Sample("a_total", {}, 1), Sample("a_created", {}, 5)]
    assert "a_created 5.0\n" in written(encode_openmetrics, [family])
    assert written(encode_text, [family]).endswith("# HELP a_created \n# TYPE a_created gauge\na_created 5.0\n")


def test_a_gauge_may_be_called_created(written):
    family = Metric("a_created", "", "gauge")
    family.samples = [Sample("a_created", {}, 5)]
    assert "a_created 5.0\n" in written(encode_text, [family])


@pytest.mark.parametrize(
    ("kind", "name", "length", "kept"),
    [
        ("counter", "a_total", 128, True),
        ("counter", "a_total", 129, False),
        ("histogram", "a_bucket", 128, True),
        ("gaugehistogram", "a_bucket", 128, True),
        ("gauge", "a", 5, False),
        ("summary", "a_sum", 5, False),
        ("counter", "a_created", 5, False),
    ],
)
def test_exemplars_stand_where_they_may(kind, name, length, kept, written):
    labels = {"le": "+Inf"} if name == "a_bucket" else {}
    [line] = _kept(kind, [Sample(name, labels, 1, None, Exemplar({"id": "é" * (length - 2)}, 1, 2.5))], written)
    assert (" # {" in line) is kept
    assert not kept or line.endswith("} 1.0 2.5")


def test_exemplars_are_for_openmetrics_only_and_their_labels_are_escaped(written):
    sample = Sample("a_total", {}, 1, None, Exemplar({"trace.id": 'a"\n'}, 1))
    assert _kept("counter", [sample], written) == ['a_total 1.0 # {trace_id="a\\"\\n"} 1.0']
    family = Metric("a", "", "counter")
    family.samples = [sample]
    assert "trace" not in written(encode_text, [family])
