"""The lines of a text exposition can have any order: a Prometheus server does not ask for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics.core import Sample
from asyncmetrics.errors import ParseError
from asyncmetrics.formats.reading.text import parse_prometheus
from asyncmetrics.formats.writing.text import encode_text


def read(*lines):
    return [
        (family.type, family.name, family.documentation, [(sample.name, sample.value) for sample in family.samples])
        for family in parse_prometheus("\n".join(lines))
    ]


def test_the_lines_of_a_family_may_be_apart():
    lines = ["# TYPE a counter", "a 1", "b 2", "# TYPE c gauge", 'a{d="e"} 3', "c 4", 'b{d="e"} 5', "# HELP a Of a."]
    assert read(*lines) == [
        ("counter", "a", "Of a.", [("a_total", 1), ("a_total", 3)]),
        ("unknown", "b", "", [("b", 2), ("b", 5)]),
        ("gauge", "c", "", [("c", 4)]),
    ]


@pytest.mark.parametrize(
    ("lines", "kind", "documentation"),
    [
        (["a 1", "# HELP a later"], "unknown", "later"),
        (["# HELP a first", "a 1", "# HELP a second"], "unknown", "second"),
        (["# HELP a first", "# HELP a", "a 1"], "unknown", ""),
        (["a 1", "# TYPE a gauge"], "gauge", ""),
        (["# TYPE a summary", "# TYPE a gauge", "a 1"], "gauge", ""),
    ],
)
def test_the_last_metadata_stay(lines, kind, documentation):
    assert read(*lines) == [(kind, "a", documentation, [("a", 1)])]


def test_a_late_type_takes_the_samples_with_its_suffixes():
    assert read("a_sum 1", "b 1", "# TYPE a summary", "a_count 2") == [
        ("summary", "a", "", [("a_sum", 1), ("a_count", 2)]),
        ("unknown", "b", "", [("b", 1)]),
    ]


def test_metadata_of_its_own_keep_a_sample_from_a_summary():
    assert read("# TYPE a summary", "a_sum 1", "# HELP a_sum Other.") == [
        ("summary", "a", "", []),
        ("unknown", "a_sum", "Other.", [("a_sum", 1)]),
    ]


def test_a_histogram_has_no_sample_of_its_own_name():
    assert read("# TYPE a histogram", "a 1", "a_sum 1", "a 2") == [
        ("histogram", "a", "", [("a_sum", 1)]),
        ("unknown", "a", "", [("a", 1), ("a", 2)]),
    ]


def test_a_sample_may_have_several_times():
    family, _ = parse_prometheus("a 1 2000\nb 1\na 2 1000\na 3 1000")
    assert family.samples == [Sample("a", {}, 1.0, 2.0), Sample("a", {}, 2.0, 1.0), Sample("a", {}, 3.0, 1.0)]


def test_a_faulty_line_is_found_before_the_first_family():
    with pytest.raises(ParseError, match="line 3"):
        next(parse_prometheus("a 1\nb 1\n?"))


def sorted_families(lines):
    return sorted(
        (family.name, family.type, family.documentation, sorted(map(repr, family.samples)))
        for family in parse_prometheus("\n".join(lines))
    )


@given(data=st.data())
def test_lines_in_disorder_are_the_same_families(data, text_families, written):
    lines = written(encode_text, data.draw(text_families)).split("\n")
    assert sorted_families(data.draw(st.permutations(lines))) == sorted_families(lines)
