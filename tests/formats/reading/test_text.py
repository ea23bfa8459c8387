"""Which lines the parsers accept and which they refuse."""

from __future__ import annotations

import pytest

from asyncmetrics.core import Exemplar, Sample, Timestamp
from asyncmetrics.errors import ParseError
from asyncmetrics.formats.reading.openmetrics import parse_openmetrics
from asyncmetrics.formats.reading.text import parse_prometheus


def text(source: str):
    return [(family.type, family.name, family.samples) for family in parse_prometheus(source)]


def openmetrics(*lines: str):
    return list(parse_openmetrics("\n".join([*lines, "# EOF", ""])))


@pytest.mark.parametrize(
    ("line", "sample"),
    [
        ("a 1", Sample("a", {}, 1.0)),
        ("  a\t 1 \t", Sample("a", {}, 1.0)),
        ("a{} 1", Sample("a", {}, 1.0)),
        ('a { b = "c" , d = "e" , } 1 2000', Sample("a", {"b": "c", "d": "e"}, 1.0, 2.0)),
        ('a{b="c"}1', Sample("a", {"b": "c"}, 1.0)),
        (r'a{b="\\\"\n\x{,}="} 1', Sample("a", {"b": '\\"\n\\x{,}='}, 1.0)),
        ("a 1 1500", Sample("a", {}, 1.0, 1.5)),
        ("a 1 9223372036854775807", Sample("a", {}, 1.0, 9223372036854775.807)),
        (f"a 1 {'0' * 5000}1000", Sample("a", {}, 1.0, 1.0)),
        ("a +Inf", Sample("a", {}, float("inf"))),
        ("a -inf", Sample("a", {}, -float("inf"))),
        ("a .5", Sample("a", {}, 0.5)),
        ("a 1.", Sample("a", {}, 1.0)),
        ("a +1E3", Sample("a", {}, 1000.0)),
        ('{"a"} 1', Sample("a", {}, 1.0)),
        ('{"a b",c="d","e.f"="g"} 1', Sample("a b", {"c": "d", "e.f": "g"}, 1.0)),
        (r'{"a\"b"} 1', Sample('a"b', {}, 1.0)),
        (r'{"a\nb"} 1', Sample("a\nb", {}, 1.0)),
        ('{"a\x07\u2028"} 1', Sample("a\x07\u2028", {}, 1.0)),
        ('{b="c","a"} 1', Sample("a", {"b": "c"}, 1.0)),
        ('{b="c","a","d"="e",} 1', Sample("a", {"b": "c", "d": "e"}, 1.0)),
        ("a{,} 1", Sample("a", {}, 1.0)),
        ("a{\t, } 1", Sample("a", {}, 1.0)),
    ],
)
def test_text_samples(line, sample):
    assert text(line) == [("unknown", sample.name, [sample])]


@pytest.mark.parametrize(
    "line",
    [
        "a",
        "a ",
        "a b",
        "a 1 2 3",
        "a 1 2.5",
        "a 1 -5",
        "a 1 +5",
        "a 1 9223372036854775808",
        "a 1 99999999999999999999",
        "a 1e400",
        "a -1e400",
        "a 1_0",
        "a ١",
        "a 0x1p",
        "a 1,5",
        "1 1",
        "é 1",
    ]
    + [
        'a{b="c" 1',
        "a{b} 1",
        "a{b=c} 1",
        'a{b="c"d="e"} 1',
        'a{,b="c"} 1',
        "a{,,} 1",
        'a{b="c",,} 1',
        'a{b="c",b="d"} 1',
        'a{"b"} 1',
    ]
    + ['{b="c"} 1', "{} 1", '{""} 1', '{"a","b"} 1', '{"","b"} 1', '{"b",""} 1', 'b{""} 1', 'a{b="c\\"} 1', '{"a\0"} 1']
    + ['a{__name__="b"} 1', '{"a",__name__="b"} 1']
    + [
        "a 1\r",
        'a 1 # {b="c"} 1',
        "# TYPE a",
        "# TYPE a fast",
        "# TYPE 1 gauge",
        "# HELP ",
        "# TYPE ",
        "# TYPE a stateset",
    ],
)
def test_text_faults(line):
    with pytest.raises(ParseError) as caught:
        text(f"b 1\n{line}\n")
    assert (caught.value.line_number, caught.value.line) == (2, line)


def test_blank_lines_and_comments_are_skipped():
    assert text("\n \t\n# a comment\n#\n#TYPE a counter\n# TYPES b gauge\n# HELP\n# TYPE\na 1\n") == [
        ("unknown", "a", [Sample("a", {}, 1.0)])
    ]


def test_a_text_counter_loses_its_suffix_and_keeps_its_help():
    [family] = parse_prometheus("# HELP a_total Of\\n\\\\ \\x.\n# TYPE a_total counter\na_total 3\n")
    assert (family.name, family.type, family.documentation) == ("a", "counter", "Of\n\\ \\x.")
    assert family.samples == [Sample("a_total", {}, 3.0)]


def test_the_samples_of_a_text_counter_without_suffix_get_it():
    samples = [Sample("a_total", {}, 3.0), Sample("a_total", {"b": "c"}, 4.0, 5.0)]
    assert text('# TYPE a counter\na 3\na{b="c"} 4 5000\n') == [("counter", "a", samples)]


def test_a_text_counter_has_the_name_of_its_samples():
    assert text("# TYPE a counter\na_total 3\n") == [
        ("counter", "a", []), ("unknown", "a_total", [Sample("a_total", {}, 3.0)])
    ]  # fmt: skip


def test_a_text_counter_may_be_called_total():
    assert text("# TYPE _total counter\n_total 3\n") == [("counter", "_total", [Sample("_total_total", {}, 3.0)])]


@pytest.mark.parametrize("line", ["# HELP a", "# HELP a ", "# HELP a \t"])
def test_a_text_help_may_be_empty(line):
    [family] = parse_prometheus(line)
    assert (family.name, family.documentation) == ("a", "")


def test_a_text_help_loses_the_white_space_around_it():
    [family] = parse_prometheus("#\tHELP  a \t of \\n it \t\r\n")
    assert family.documentation == "of \n it"


def test_suffixes_belong_to_histograms_and_summaries_only():
    histogram = '# TYPE h histogram\nh_bucket{le="1"} 1\nh_sum 1\nh_count 1\n'
    summary = "# TYPE s summary\ns 1\ns_sum 1\ns_count 1\n"
    source = f"{histogram}{summary}# TYPE g gauge\ng_sum 1\n"
    found = text(source)
    assert [(kind, name, len(samples)) for kind, name, samples in found] == [
        ("histogram", "h", 3), ("summary", "s", 3), ("gauge", "g", 0), ("unknown", "g_sum", 1)
    ]  # fmt: skip


def test_openmetrics_metadata():
    [family] = openmetrics(
        r"# HELP a_bytes   \"Of\"\n\\.", "# UNIT a_bytes bytes", "# TYPE a_bytes gauge", "a_bytes 1 2.5"
    )
    assert (family.name, family.type, family.unit, family.documentation) == ("a_bytes", "gauge", "bytes", '"Of"\n\\.')
    assert family.samples == [Sample("a_bytes", {}, 1.0, Timestamp(2, 500_000_000))]


def test_openmetrics_metadata_may_be_empty():
    [family] = openmetrics("# HELP a ", "# UNIT a ")
    assert (family.name, family.documentation, family.unit) == ("a", "", "")


@pytest.mark.parametrize(
    ("written", "timestamp"),
    [
        ("000", Timestamp(0, 0)),
        ("+5", Timestamp(5, 0)),
        ("5.", Timestamp(5, 0)),
        ("1.5", Timestamp(1, 500_000_000)),
        ("-1.5", Timestamp(-1, 500_000_000)),
        ("-0.0", Timestamp(0, 0)),
        ("12345678901234567890.1234567890", Timestamp(12345678901234567890, 123_456_789)),
        ("9" * 308, Timestamp(int("9" * 308), 0)),
        ("0.9999999999", Timestamp(0, 999_999_999)),
        ("1.5e3", 1500.0),
        (".5", 0.5),
        ("-0.5", -0.5),
    ],
)
def test_an_openmetrics_timestamp(written, timestamp):
    line = f"a_total 1 {written} # {{}} 1 {written}"
    [family] = openmetrics("# TYPE a counter", line)
    assert family.samples == [Sample("a_total", {}, 1.0, timestamp, Exemplar({}, 1.0, timestamp))]
    assert type(family.samples[0].timestamp) is type(timestamp)


def test_openmetrics_exemplars():
    line = 'a_total 3 1.000000001 # {id="x y",b="\\""} 0.5 7'
    [family] = openmetrics("# TYPE a counter", line)
    assert family.samples == [
        Sample("a_total", {}, 3.0, Timestamp(1, 1), Exemplar({"id": "x y", "b": '"'}, 0.5, Timestamp(7, 0)))
    ]


def test_openmetrics_points_of_one_child_follow_in_time():
    [family] = openmetrics("# TYPE a gauge", "a 1 1", "a 2 2", 'a{b="c"} 1')
    assert [sample.value for sample in family.samples] == [1, 2, 1]


@pytest.mark.parametrize("later", ["1700000000.000000002", "1700000001"])
def test_openmetrics_points_may_be_a_nanosecond_apart(later):
    """A double cannot tell their timestamps apart."""
    [family] = openmetrics("# TYPE a gauge", "a 1 1700000000.000000001", f"a 2 {later}")
    assert [sample.value for sample in family.samples] == [1, 2]


def test_openmetrics_points_may_be_less_than_a_nanosecond_apart():
    """Times with an exponent are doubles, and doubles beside zero are close together."""
    [family] = openmetrics("# TYPE a gauge", "a 1 -7e-124", "a 2 -7e-224")
    assert [sample.value for sample in family.samples] == [1, 2]


@pytest.mark.parametrize("later", ["0", "0.0000000001", "0e5"])
def test_of_two_openmetrics_samples_at_one_time_the_first_stays(later):
    [family] = openmetrics("# TYPE a gauge", "a 1 0.0", f"a 2 {later}", "a 3 1")
    assert [sample.value for sample in family.samples] == [1, 3]


def test_openmetrics_families_may_differ_in_a_suffix_of_another_type():
    found = openmetrics("# TYPE a gauge", "a 1", "a_total 2", "# TYPE b summary", 'b_bucket{le="1"} 1')
    assert [(family.type, family.name, len(family.samples)) for family in found] == [
        ("gauge", "a", 1), ("unknown", "a_total", 1), ("summary", "b", 0), ("unknown", "b_bucket", 1)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "sample"),
    [
        ('{b="c","a"} 1', Sample("a", {"b": "c"}, 1.0)),
        (r'{"a\nb"} 1', Sample("a\nb", {}, 1.0)),
    ],
)
def test_openmetrics_samples(line, sample):
    [family] = openmetrics(line)
    assert family.samples == [sample]


def test_nothing_but_the_end_mark_is_valid():
    assert openmetrics() == []
    assert list(parse_openmetrics("# EOF")) == []


@pytest.mark.parametrize(
    "source", ["", "\n", "a 1\n", "a 1\n# EOF\n\n", "# EOF \n", "# EOF\na 1\n", "# eof\n", "a 1 # EOF\n"]
)
def test_openmetrics_ends_with_its_mark(source):
    with pytest.raises(ParseError, match="# EOF"):
        list(parse_openmetrics(source))


H = "# TYPE h histogram"
G = "# TYPE h gaugehistogram"
B1, B2, BI = 'h_bucket{le="1.0"} 1', 'h_bucket{le="2.0"} 2', 'h_bucket{le="+Inf"} 3'
NEGATIVE = 'h_bucket{le="-1.0"} 1'
FAULTS = {
    "an early end mark": ["a 1", "# EOF", "b 1"],
    "a blank line": ["a 1", "", "b 1"],
    "a comment": ["# so", "a 1"],
    "blanks in a comment": ["#  TYPE a gauge", "a 1"],
    "an unknown type": ["# TYPE a fast"],
    "the other format's type": ["# TYPE a untyped"],
    "a second type": ["# TYPE a gauge", "# TYPE a gauge"],
    "a second help": ["# HELP a b", "# HELP a b"],
    "late metadata": ["# TYPE a gauge", "a 1", "# HELP a b"],
    "interleaved families": ["a 1", "b 1", "a 2"],
    "interleaved metadata": ["# TYPE a gauge", "# TYPE b gauge", "# HELP a b"],
    "a name that a suffix has made": ["# TYPE a counter", "a_total 1", "# TYPE a_total gauge"],
    "a name with NUL": ['# TYPE "a\0" gauge'],
    "HELP without text": ["# HELP a"],
    "UNIT without text": ["# UNIT a"],
    "TYPE without text": ["# TYPE a "],
    "a foreign unit": ["# TYPE a gauge", "# UNIT a bytes", "a 1"],
    "a unit that is the name": ["# UNIT bytes bytes", "bytes 1"],
    "a unit of an info": ["# TYPE a_b info", "# UNIT a_b b", "a_b_info 1"],
    "a unit of a stateset": ["# UNIT a_b b", "# TYPE a_b stateset"],
    "a counter without suffix": ["# TYPE a counter", "a 1"],
    "an info without suffix": ["# TYPE a info", "a 1"],
    "the same sample twice": ["# TYPE a gauge", 'a{b="c",d="e"} 1', 'a{d="e",b="c"} 2'],
    "time that goes back": ["# TYPE a gauge", "a 1 5", "a 1 4"],
    "time that goes back by a nanosecond": ["a 1 1700000000.000000002", "a 1 1700000000.000000001"],
    "time that goes back by less than a nanosecond": ["a 1 -7e-224", "a 1 -7e-124"],
    "time before 1970 that goes back": ["a 1 -1.1", "a 1 -1.2"],
    "time that comes and goes": ["# TYPE a gauge", "a 1 5", "a 1"],
    "interleaved children": ["# TYPE a summary", 'a_sum{b="1"} 1', 'a_sum{b="2"} 1', 'a_count{b="1"} 1'],
    "a negative counter": ["# TYPE a counter", "a_total -1"],
    "a counter that is no number": ["# TYPE a counter", "a_total NaN"],
    "a negative sum": ["# TYPE a summary", "a_sum -1"],
    "a sum that is no number": ["# TYPE a summary", "a_sum NaN"],
    "a negative count": ["# TYPE a summary", "a_count -1"],
    "no quantile": ["# TYPE a summary", "a 1"],
    "a quantile above 1": ["# TYPE a summary", 'a{quantile="1.5"} 1'],
    "a negative quantile": ["# TYPE a summary", 'a{quantile="0.5"} -1'],
    "buckets out of order": [H, B2, B1, BI],
    "the same bucket twice": [H, B1, 'h_bucket{le="1"} 1', BI],
    "buckets that fall": [H, 'h_bucket{le="1.0"} 5', B2, BI],
    "no last bucket": [H, B1, B2],
    "no last bucket of the first child": [H, 'h_bucket{le="1",a="b"} 1', BI],
    "no bucket": [H, "h_sum 1", "h_count 3"],
    "an endless bound that is not +Inf": [H, 'h_bucket{le="inf"} 3'],
    "half a bucket": [H, 'h_bucket{le="+Inf"} 1.5'],
    "half a count": ["# TYPE a summary", "a_count 1.5"],
    "a sum of ages that is no number": [G, NEGATIVE, BI, "h_gcount 3", "h_gsum NaN"],
    "a bound at a sum": [H, BI, 'h_sum{le="1.0"} 1'],
    "a quantile at a count": ["# TYPE a summary", 'a_count{quantile="0.5"} 1'],
    "an exemplar above its bucket": [H, 'h_bucket{le="1.0"} 1 # {} 1.5', BI],
    "the metric's name as a label": ['a{__name__="b"} 1'],
    "no bound": [H, "h_bucket 1"],
    "a bound that is a word": [H, 'h_bucket{le="low"} 1'],
    "a bound that is no number": [H, 'h_bucket{le="NaN"} 1'],
    "another count": [H, BI, "h_count 4", "h_sum 1"],
    "a count alone": [H, BI, "h_count 3"],
    "a sum alone": [H, BI, "h_sum 3"],
    "a sum of negative buckets": [H, NEGATIVE, BI, "h_count 3", "h_sum 1"],
    "a negative sum of positive ages": [G, B1, BI, "h_gcount 3", "h_gsum -1"],
    "an exemplar of a gauge": ["# TYPE a gauge", "a 1 # {} 1"],
    "an exemplar of a sum": ["# TYPE a summary", "a_sum 1 # {} 1"],
    "a long exemplar": ["# TYPE a counter", 'a_total 1 # {b="' + "x" * 128 + '"} 1'],
    "an exemplar with a name": ["# TYPE a counter", 'a_total 1 # {"b"} 1'],
    "an exemplar without value": ["# TYPE a counter", "a_total 1 # {}"],
    "an exemplar at an odd time": ["# TYPE a counter", "a_total 1 # {} 1 soon"],
    "an info that is 2": ["# TYPE a info", "a_info 2"],
    "a state that is 2": ["# TYPE a stateset", 'a{a="b"} 2'],
    "a state without label": ["# TYPE a stateset", "a 1"],
    "a comma too many": ['a{b="c",} 1'],
    "only a comma": ["a{,} 1"],
    "blanks": ['a{b="c", d="e"} 1'],
    "two blanks": ["a  1"],
    "a blank at the end": ["a 1 "],
    "a timestamp that is no number": ["a 1 NaN"],
    "an endless timestamp": ["a 1 1e999"],
    "an endless timestamp of digits": ["a 1 " + "9" * 310],
    "a number that no double can hold": ["a 1e400"],
    "an underscore in a number": ["a 1_0"],
}


@pytest.mark.parametrize("lines", FAULTS.values(), ids=FAULTS.keys())
def test_openmetrics_refuses(lines):
    with pytest.raises(ParseError) as caught:
        openmetrics(*lines)
    assert caught.value.line == lines[caught.value.line_number - 1]


def test_openmetrics_takes_the_same_lines_without_the_faults():
    assert len(openmetrics(H, B1, B2, BI, "h_count 3", "h_sum 1")[0].samples) == 5
    assert len(openmetrics(H, NEGATIVE, BI)[0].samples) == 2
    assert len(openmetrics(G, NEGATIVE, BI, "h_gcount 3", "h_gsum -1")[0].samples) == 4
    assert len(openmetrics("# TYPE a counter", 'a_total 1 # {b="' + "x" * 127 + '"} 1')[0].samples) == 1


def test_the_error_says_where_and_what():
    with pytest.raises(ParseError) as caught:
        openmetrics("# TYPE a counter", "a_total -1")
    assert str(caught.value) == "line 2: _total can be neither negative nor NaN: 'a_total -1'"
