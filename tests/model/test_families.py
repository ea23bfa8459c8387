"""The families of custom collectors, beside prometheus_client's."""

from __future__ import annotations

import prometheus_client.core as theirs
import pytest

import asyncmetrics.core as ours
from asyncmetrics.errors import DefinitionError

BUILDERS = {
    "unknown": lambda m: m.UnknownMetricFamily("u", "U.", 3),
    "unknown, labelled": lambda m: _with(m.UnknownMetricFamily("u", "U.", labels=["a"]), ["x"], 3, 5.5),
    "untyped": lambda m: m.UntypedMetricFamily("u", "U.", value=3),
    "gauge": lambda m: m.GaugeMetricFamily("g", "G.", 3, unit="bytes"),
    "gauge, labelled": lambda m: _with(m.GaugeMetricFamily("g", "G.", labels=["a"]), ["x"], 3, m.Timestamp(1, 5)),
    "counter": lambda m: m.CounterMetricFamily("c_total", "C.", 3, created=1.5),
    "counter with exemplar": lambda m: m.CounterMetricFamily("c", "C.", 3, exemplar=m.Exemplar({"t": "x"}, 1.0)),
    "counter, labelled": lambda m: _with(m.CounterMetricFamily("c", "C.", labels=["a"]), ["x"], 3, created=2),
    "summary": lambda m: m.SummaryMetricFamily("s", "S.", 2, 3.5),
    "summary, labelled": lambda m: _with(m.SummaryMetricFamily("s", "S.", labels=["a"]), ["x"], 2, 3.5, 7),
    "histogram": lambda m: m.HistogramMetricFamily("h", "H.", [("1.0", 1), ("+Inf", 3)], 4.5),
    "histogram without a sum": lambda m: m.HistogramMetricFamily("h", "H.", [("1.0", 1), ("+Inf", 3)]),
    "histogram with a negative bound": lambda m: m.HistogramMetricFamily("h", "H.", [("-1.0", 1), ("+Inf", 3)], 4.5),
    "histogram with exemplar": lambda m: m.HistogramMetricFamily(
        "h", "H.", [("1.0", 1, m.Exemplar({"t": "x"}, 0.5)), ("+Inf", 3)], 4.5
    ),
    "histogram, labelled": lambda m: _with(
        m.HistogramMetricFamily("h", "H.", labels=["a"]), ["x"], [("1.0", 1), ("+Inf", 3)], 4.5
    ),
    "gauge histogram": lambda m: m.GaugeHistogramMetricFamily("q", "Q.", [("1.0", 1), ("+Inf", 3)], 4.5),
    "info": lambda m: m.InfoMetricFamily("i", "I.", {"version": "1"}),
    "info, labelled": lambda m: _with(m.InfoMetricFamily("i", "I.", labels=["a"]), ["x"], {"version": "1"}),
    "state set": lambda m: m.StateSetMetricFamily("e", "E.", {"b": True, "a": False}),
    "state set, labelled": lambda m: _with(m.StateSetMetricFamily("e", "E.", labels=["a"]), ["x"], {"b": True}),
}


def _with(family, *args, **kwargs):
    family.add_metric(*args, **kwargs)
    return family


def _when(timestamp):
    return str(timestamp)


@pytest.mark.parametrize("kind", BUILDERS)
def test_a_family_has_the_samples_that_prometheus_client_gives_it(kind):
    mine, other = BUILDERS[kind](ours), BUILDERS[kind](theirs)
    assert (mine.name, mine.documentation, mine.type, mine.unit) == (
        other.name, other.documentation, other.type, other.unit,
    )  # fmt: skip
    assert [(s.name, s.labels, s.value, _when(s.timestamp), s.exemplar) for s in mine.samples] == [
        (s.name, s.labels, s.value, _when(s.timestamp), s.exemplar and ours.Exemplar(*s.exemplar))
        for s in other.samples
    ]


REFUSED = {
    "a value and labels": lambda: ours.GaugeMetricFamily("g", "G.", 1, labels=["a"]),
    "a count without a sum": lambda: ours.SummaryMetricFamily("s", "S.", count_value=1),
    "a sum without buckets": lambda: ours.HistogramMetricFamily("h", "H.", sum_value=1),
    "too few label values": lambda: _with(ours.GaugeMetricFamily("g", "G.", labels=["a", "b"]), ["x"], 1),
    "a type that is none": lambda: ours.Metric("m", "M.", "average"),
    "no name": lambda: ours.Metric("", "M.", "gauge"),
    "a name with NUL": lambda: ours.Metric("a\0b", "M.", "gauge"),
    "a name with a lone surrogate": lambda: ours.Metric("a\ud800b", "M.", "gauge"),
    "nanoseconds that are none": lambda: ours.Timestamp(1, 1e9),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_wrong_arguments_are_refused(kind):
    with pytest.raises(DefinitionError):
        REFUSED[kind]()


def test_the_label_names_can_be_the_keys_of_a_dict():
    family = ours.GaugeMetricFamily("g", "G.", labels={"a": "x", "b": "y"})
    family.add_metric(["1", "2"], 3)
    assert family.samples == [ours.Sample("g", {"a": "1", "b": "2"}, 3)]


def test_untyped_means_unknown():
    assert ours.Metric("m", "M.", "untyped").type == "unknown"


def test_families_are_equal_when_all_they_hold_is():
    assert BUILDERS["gauge"](ours) == BUILDERS["gauge"](ours)
    assert BUILDERS["gauge"](ours) != BUILDERS["counter"](ours)
    assert BUILDERS["gauge"](ours) != "gauge"


def test_a_timestamp_is_written_with_nanoseconds_and_ordered():
    early, late = ours.Timestamp(1, 5), ours.Timestamp(2, 0)
    assert (str(early), float(late), early < late, hash(early) == hash(ours.Timestamp(1, 5))) == (
        "1.000000005", 2.0, True, True,
    )  # fmt: skip


def test_the_repr_of_a_family_names_its_content():
    assert repr(ours.Metric("m", "M.", "gauge")) == "Metric(m, M., gauge, , [])"
