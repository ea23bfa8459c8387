"""The rules of the text format that a Prometheus server does not check."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from asyncmetrics.core import Sample
from asyncmetrics.errors import ParseError
from asyncmetrics.formats.reading.strict_text import TextProblem, find_text_problems
from asyncmetrics.formats.reading.text import TextLines
from asyncmetrics.formats.writing.text import encode_text
from asyncmetrics.model.escaping import ALLOW_UTF_8


def _find(text: str) -> list[TextProblem]:
    return find_text_problems(TextLines(text))


HISTOGRAM = "# TYPE h histogram\n"

BROKEN = {
    "a second HELP": ("# HELP a b\n# HELP a c\na 1\n", 2, "a second HELP for 'a'"),
    "a second TYPE": ("# TYPE a gauge\n# TYPE a gauge\na 1\n", 2, "a second TYPE for 'a'"),
    "a TYPE after a sample": ("a 1\n# TYPE a gauge\n", 2, "the TYPE of 'a' comes after its samples"),
    "a TYPE after a sample with a suffix": ("h_sum 1\n# TYPE h histogram\n", 2, "the TYPE of 'h' comes after"),
    "lines of a metric apart": (
        "a 1\nb 1\na{x='1'} 1\n".replace("'", '"'),
        3,
        "the lines of 'a' have to stand together",
    ),
    "a HELP apart": ("a 1\nb 1\n# HELP a b\n", 3, "the lines of 'a' have to stand together"),
    "a series twice": ("a 1\na 2\n", 2, "the series occurs twice, first in line 1"),
    "a series twice in another order": ('a{x="1",y="2"} 1\na{y="2",x="1"} 1\n', 2, "the series occurs twice"),
    "a series twice, one with an empty label": ('a{x=""} 1\na 1\n', 2, "the series occurs twice"),
    "a wrong escape in a HELP": ("# HELP a \\q\na 1\n", 1, "'\\\\q' is no escape"),
    "a quote in a HELP": ('# HELP a \\"\na 1\n', 1, "is no escape"),
    "a wrong escape in a label": ('a{x="\\q"} 1\n', 1, "'\\\\q' is no escape"),
    "a negative counter": ("# TYPE a counter\na -1\n", 2, "neither negative nor NaN"),
    "a bucket without a bound": (HISTOGRAM + "h_bucket 1\n", 2, "a bucket needs the label le"),
    "a bound that is no number": (HISTOGRAM + 'h_bucket{le="a"} 1\n', 2, "has to be a number, got 'a'"),
    "a quantile that is no number": ('# TYPE s summary\ns{quantile="a"} 1\n', 2, "the label quantile of a summary"),
    "no last bucket": (HISTOGRAM + 'h_bucket{le="1"} 1\n', 2, "the last bucket of each histogram has to be +Inf"),
    "buckets in another order": (
        HISTOGRAM + 'h_bucket{le="2"} 1\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 1\n',
        2,
        "increasing order",
    ),
    "buckets that fall": (HISTOGRAM + 'h_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\n', 2, "cumulative"),
    "another count": (HISTOGRAM + 'h_bucket{le="+Inf"} 1\nh_count 2\n', 2, "_count has to equal the +Inf bucket"),
    "a TYPE with a blank at its end": ("# TYPE a gauge \na 1\n", 1, "refuses a TYPE with a blank too many"),
    "a TYPE with two blanks": ("# TYPE a  gauge\na 1\n", 1, "refuses a TYPE with a blank too many"),
    "a sample behind a blank": ("\ta 1\n", 1, "refuses a sample with a blank before its name"),
    "a comma without a label": ("a{ ,} 1\n", 1, "refuses a comma without a label before it"),
    "a HELP without a blank": ("#HELP a b\na 1\n", 1, "'#HELP' begins a comment for a Prometheus server"),
    "a TYPE without a blank": ("#TYPE a gauge\na 1\n", 1, "write '# TYPE'"),
    "no line feed at the end": ("a 1", 1, "has to end with a line feed"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_it_is_found_with_its_line(case):
    text, number, problem = BROKEN[case]
    (found,) = _find(text)
    assert (found.line_number, found.line) == (number, text.split("\n")[number - 1])
    assert problem in found.problem


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n# a comment\n\na 1\n",
        '# HELP a back\\\\slash\\n\n# TYPE a counter\na{x="q\\"b\\\\n\\n"} 1 1600000000000\n',
        HISTOGRAM + 'h_bucket{a="1",le="1"} 1\nh_bucket{a="1",le="+Inf"} 1\nh_bucket{a="2",le="+Inf"} NaN\n',
        HISTOGRAM + 'h_bucket{le="+Inf"} 1\nh_sum 3\nh_count 1\n',
        '# TYPE s summary\ns{quantile="0.5"} 1\ns_sum 1\ns_count 1\n',
        '# HELP "a\\"b" c\n# TYPE "a\\"b" gauge\n{"a\\"b"} 1\n',
        "# TYPE a counter\na +Inf\n",
        "a\t1\n#\tHELP\tb\tc\nb 1\n#HELPER a\n#HELP\n",
        'a{x="{,"} 1\n{"b{,"} 1\n\t# TYPE c gauge\nc{x="1",} 1\n',
    ],
)
def test_a_text_without_a_broken_rule_has_no_problem(text):
    assert _find(text) == []


def test_the_problems_come_in_the_order_of_their_lines():
    text = HISTOGRAM + 'h_bucket{le="1"} 1\nb 1\nb 1\n# TYPE h histogram\nc 1'
    assert [problem.line_number for problem in _find(text)] == [2, 4, 5, 5, 6]


def test_a_text_that_no_server_accepts_is_an_error():
    with pytest.raises(ParseError, match="line 1"):
        _find("a b\n")


def _are_apart(samples: list[Sample]) -> bool:
    """Return whether no two samples are one series: an empty label is no label."""
    series = {(one.name, frozenset(item for item in one.labels.items() if item[1])) for one in samples}
    return len(series) == len(samples)


@given(data=st.data())
def test_what_the_library_writes_breaks_no_rule(data, text_utf8_families, written):
    families = data.draw(text_utf8_families)
    assume(all(_are_apart(family.samples) for family in families))
    text = written(encode_text, families, escaping=ALLOW_UTF_8)
    own = ("neither negative nor NaN", "cumulative", "_count has to equal")  # the values are random
    assert [found for found in _find(text) if not any(one in found.problem for one in own)] == []


@given(st.text(st.sampled_from('ab \t\n\\"{}=,#1.eHELPTY+Inf_bucket')))
def test_nothing_but_a_parse_error_is_raised(text):
    try:
        _find(text)
    except ParseError:
        pass
