"""What differs between two expositions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics import Counter, Enum, Histogram, Info, generate_latest
from asyncmetrics.bridges.scraping import Exposition
from asyncmetrics.formats.reading.text import parse_prometheus
from asyncmetrics.lint.differences import Difference, find_differences, show_series
from asyncmetrics.lint.subjects import Subject, describe_exposition


def _describe(text: str) -> list[Subject]:
    return describe_exposition(Exposition(text))


A = '# HELP a Some text.\n# TYPE a gauge\na{x="1"} 1\na{x="2"} 1\n'


def _differences(first: str, second: str, **options) -> list[tuple]:
    return [tuple(found) for found in find_differences(_describe(first), _describe(second), **options)]


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (A, []),
        ("", [("a", "metric", "gauge with 2 series", None)]),
        (A + "b 1\n", [("b", "metric", None, "untyped with 1 series")]),
        (A.replace("gauge", "counter"), [("a", "type", "gauge", "counter")]),
        (A.replace("Some", "Other"), [("a", "help", "Some text.", "Other text.")]),
        (A.replace("# HELP a Some text.\n", ""), [("a", "help", "Some text.", None)]),
        (A.replace('a{x="2"} 1\n', ""), [('a{x="2"}', "series", 'a{x="2"}', None)]),
        (A + 'a{x="3"} 1\n', [('a{x="3"}', "series", None, 'a{x="3"}')]),
        (A.replace('x="2"} 1', 'x="2"} 7'), []),
        (A.replace('x="2"', 'x="2",y=""'), [("a", "labels", "x", "x, y")]),
    ],
)
def test_it_finds_what_differs(second, expected):
    assert _differences(A, second) == expected


def test_values_are_compared_on_request():
    assert _differences("a 1\nb NaN\n", "a 2.5\nb NaN\n", values=True) == [("a", "value", "1.0", "2.5")]


def test_labels_are_compared_by_their_names():
    assert _differences('a{x="1"} 1\n', 'a{y="1"} 1\n') == [
        ("a", "labels", "x", "y"),
        ('a{x="1"}', "series", 'a{x="1"}', None),
        ('a{y="1"}', "series", None, 'a{y="1"}'),
    ]


def test_metrics_are_sorted_by_name():
    assert [found[0] for found in _differences("b 1\nd 1\n", "c 1\na 1\n")] == ["a", "b", "c", "d"]


def test_both_formats_of_a_registry_are_equal(registry):
    Counter("jobs", "Jobs.", ["kind"], registry=registry).labels("a").inc()
    Histogram("job_seconds", "Jobs.", registry=registry).observe(1)
    Info("build", "Build.", registry=registry).info({"version": "1"})
    Enum("state", "State.", states=["on", "off"], registry=registry)
    text = Exposition(generate_latest(registry).decode())
    assert list(find_differences(describe_exposition(registry), describe_exposition(text), values=True)) == []


def test_a_difference_has_names():
    assert Difference("a", "type", "gauge", "counter").what == "type"


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("a", [], "a"),
        ("a", [("b", 'c"d\\e\nf')], 'a{b="c\\"d\\\\e\\nf"}'),
        ("a.b", [], '{"a.b"}'),
        ("a.b", [("c d", "e")], '{"a.b","c d"="e"}'),
    ],
)
def test_a_series_is_shown_as_the_text_format_writes_it(name, labels, expected):
    assert show_series(name, labels) == expected


@given(name=st.text(min_size=1), label=st.text(min_size=1), value=st.text())
def test_a_shown_series_is_read_as_the_same_series(name, label, value):
    clean = [text.encode("utf-8", "replace").decode().replace("\0", "0") for text in (name, label, value)]
    if clean[1] == "__name__":
        return
    (family,) = parse_prometheus(f"{show_series(clean[0], [(clean[1], clean[2])])} 1\n")
    assert (family.samples[0].name, family.samples[0].labels) == (clean[0], {clean[1]: clean[2]})
