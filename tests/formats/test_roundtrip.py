"""The parsers return the families that the encoders have written.

But for what prometheus_client's parsers change as well: white space around a HELP, and timestamps of OpenMetrics, which
become `Timestamp` objects and lose what is less than a nanosecond.
"""

from __future__ import annotations

import string
from fractions import Fraction
from math import trunc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics.core import Exemplar, Metric, Sample, Timestamp
from asyncmetrics.errors import ParseError
from asyncmetrics.formats.reading.openmetrics import parse_openmetrics
from asyncmetrics.formats.reading.text import parse_prometheus
from asyncmetrics.formats.writing.openmetrics import encode_openmetrics
from asyncmetrics.formats.writing.text import encode_text

FRAGMENTS = st.sampled_from(
    ["# TYPE ", "# HELP ", "# UNIT ", "# EOF", "# EOF\n", "\n", " ", "a", "a_total", "a_bucket", "counter", "histogram"]
    + ["gauge", "stateset", "{", "}", '="', '"', ",", 'le="1"', 'le="+Inf"', " 1", "1.5", " # {", "NaN", "+Inf", "-1"]
    + ["\\", "\\n", "\t", "#", "é", 'a{b="c"} 1\n', "# TYPE a counter\n", 'a_bucket{le="+Inf"} 3\n', "9" * 400, "1e999"]
)
ANY_TEXT = st.text(max_size=60) | st.lists(FRAGMENTS, max_size=14).map("".join)


def strip_help(families):
    """Return text families as a parser has them."""
    for family in families:
        family.documentation = family.documentation.lstrip(string.whitespace).rstrip()
    return families


def count_nanoseconds(when):
    """Return the nanoseconds since 1970 of the timestamp of a sample or an exemplar."""
    if isinstance(when, Timestamp):
        return when.sec * 10**9 + when.nsec
    return when if when is None else trunc(Fraction(repr(when)) * 10**9)


def exact(families):
    """Return OpenMetrics families as a parser has them, with the nanoseconds of each timestamp."""
    return [
        (family.name, family.type, family.unit, family.documentation.lstrip(" "), [*map(exact_sample, family.samples)])
        for family in families
    ]


def exact_sample(sample):
    exemplar = sample.exemplar and (*sample.exemplar[:2], count_nanoseconds(sample.exemplar.timestamp))
    return (*sample[:3], count_nanoseconds(sample.timestamp), exemplar)


@given(data=st.data())
def test_text_families_come_back_equal(data, text_families, written):
    families = strip_help(data.draw(text_families))
    assert list(parse_prometheus(written(encode_text, families))) == families


@given(data=st.data())
def test_openmetrics_families_come_back_equal(data, openmetrics_families, written):
    families = data.draw(openmetrics_families)
    assert exact(parse_openmetrics(written(encode_openmetrics, families))) == exact(families)


@given(data=st.data())
def test_text_families_of_any_script_come_back_equal(data, text_utf8_families, written):
    families = strip_help(data.draw(text_utf8_families))
    assert list(parse_prometheus(written(encode_text, families, escaping="allow-utf-8"))) == families


@given(data=st.data())
def test_openmetrics_families_of_any_script_come_back_equal(data, openmetrics_utf8_families, written):
    families = data.draw(openmetrics_utf8_families)
    assert exact(parse_openmetrics(written(encode_openmetrics, families, escaping="allow-utf-8"))) == exact(families)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2]
)
@pytest.mark.parametrize(("form", "parse"), [(encode_text, parse_prometheus), (encode_openmetrics, parse_openmetrics)])
def test_every_double_is_exact(form, parse, value, written):
    family = Metric("level", "", "gauge")
    family.add_sample("level", {}, value)
    [back] = parse(written(form, [family]))
    assert repr(back.samples[0].value) == repr(value)


@pytest.mark.parametrize(
    ("when", "read"),
    [
        (1.5, Timestamp(1, 500_000_000)),
        (0.123456789, Timestamp(0, 123_456_789)),
        (1700000000.123456789, Timestamp(1700000000, 123_456_700)),
        (1e-09, 1e-09),
        (1e300, 1e300),
        (-0.5, -0.5),
        (Timestamp(1, 5), Timestamp(1, 5)),
        (Timestamp(-1, 5), Timestamp(-1, 5)),
    ],
)
def test_an_openmetrics_timestamp_keeps_its_digits(when, read, written):
    family = Metric("done", "", "counter")
    family.samples = [Sample("done_total", {}, 1.0, when, Exemplar({"id": "1"}, 1.0, when))]
    [back] = parse_openmetrics(written(encode_openmetrics, [family]))
    assert back.samples == [Sample("done_total", {}, 1.0, read, Exemplar({"id": "1"}, 1.0, read))]
    assert type(back.samples[0].timestamp) is type(read)


def test_a_text_timestamp_is_cut_to_milliseconds(written):
    family = Metric("level", "", "gauge")
    family.samples = [Sample("level", {}, 1.0, 1.0015), Sample("level", {"a": "b"}, 1.0, Timestamp(2, 1_600_000))]
    assert [line.split()[-1] for line in written(encode_text, [family]).splitlines()[2:]] == ["1001", "2001"]


@given(text=ANY_TEXT)
def test_no_text_breaks_the_text_parser(text):
    try:
        list(parse_prometheus(text))
    except ParseError as error:
        assert error.line == text.split("\n")[error.line_number - 1]


@given(text=ANY_TEXT | ANY_TEXT.map("{}\n# EOF\n".format))
def test_no_text_breaks_the_openmetrics_parser(text):
    try:
        list(parse_openmetrics(text))
    except ParseError as error:
        assert error.line in text.split("\n")


@given(data=st.data())
def test_no_change_of_a_valid_text_breaks_the_openmetrics_parser(data, openmetrics_families, written):
    lines = written(encode_openmetrics, data.draw(openmetrics_families)).split("\n")
    position = data.draw(st.integers(0, len(lines) - 1))
    lines[position] = data.draw(ANY_TEXT | st.sampled_from(lines))
    try:
        list(parse_openmetrics("\n".join(lines)))
    except ParseError:
        pass


@given(data=st.data())
def test_what_the_openmetrics_parser_takes_is_written_back_whole(data, openmetrics_families, written):
    """The encoder drops no sample that the rules allow."""
    lines = written(encode_openmetrics, data.draw(openmetrics_families)).split("\n")
    position = data.draw(st.integers(0, len(lines) - 1))
    lines.insert(position, data.draw(st.sampled_from(lines)).replace("1", "2"))
    try:
        families = list(parse_openmetrics("\n".join(lines)))
    except ParseError:
        return
    again = list(parse_openmetrics(written(encode_openmetrics, families)))
    assert repr(again) == repr(families)
