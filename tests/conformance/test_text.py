"""The text format 0.0.4, rule by rule, over whatever registries hypothesis makes.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format, and what a Prometheus makes of it.
Each rule comes with a text that breaks it, so that no rule can be one that never fails.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import asyncmetrics
from asyncmetrics.errors import ParseError
from asyncmetrics.formats.reading.text import parse_prometheus

# Go's ParseFloat as far as an exposition needs it.
GO_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?Inf|NaN")
TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}
OWN_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}


class Rule(NamedTuple):
    """What the format says, what finds breaches in an exposition, a text with one, and whether our parser objects."""

    says: str
    breaches: object
    fault: str
    refused: bool = True


def _metadata_again(found):
    said = Counter((line.keyword, line.name) for line in found.lines if line.keyword in {"HELP", "TYPE"})
    return [what for what, times in said.items() if times > 1]


def _late_metadata(found):
    seen, late = set(), []
    for line in found.lines:
        if line.keyword == "":
            seen.add(line.name)
        elif line.keyword == "TYPE" and line.name in seen:
            late.append(line)
    return late


def _owner(line, types):
    """The family that a reader counts a sample to."""
    for name, kind in types.items():
        if line.name in {name + suffix for suffix in OWN_SUFFIXES.get(kind, ("",))}:
            return name
    return line.name


def _types(found):
    return {line.name: line.rest for line in found.lines if line.keyword == "TYPE"}


def _scattered(found):
    types = _types(found)
    order = [_owner(line, types) for line in found.samples]
    runs = [name for index, name in enumerate(order) if index == 0 or order[index - 1] != name]
    return [name for name, times in Counter(runs).items() if times > 1]


def _counters_without_total(found):
    return [
        line for line in found.lines if line.keyword == "TYPE" and line.rest == "counter" and line.name[-6:] != "_total"
    ]


def _samples_of_others(found):
    """Samples that follow a TYPE but are none of that family's."""
    return [
        (family.name, line.name)
        for family in found.families
        for line in family.samples
        if family.type != "unknown"
        and line.name not in {family.name + suffix for suffix in OWN_SUFFIXES.get(family.type, ("",))}
    ]


def _again(found):
    series = Counter((line.name, frozenset(line.labels), line.time) for line in found.samples)
    return [what for what, times in series.items() if times > 1]


def _buckets_without_bound(found):
    buckets = [line for family in found.families if family.type == "histogram" for line in family.called("_bucket")]
    return [line for line in buckets if not GO_FLOAT.fullmatch(line.label("le") or "")]


def _quantiles(found):
    lines = [line for family in found.families if family.type == "summary" for line in family.samples]
    return [line for line in lines if (text := line.label("quantile")) is not None and not GO_FLOAT.fullmatch(text)]


RULES = {
    "lines end with LF, the last one too": Rule(
        "Lines are separated by a line feed character (\\n). The last line must end with a line feed character.",
        lambda found: [] if found.text == "" or found.text.endswith("\n") else ["no LF at the end"],
        "a 1",
        refused=False,  # Prometheus takes it, and so do we
    ),
    "every line is a comment or a sample": Rule(
        'Each line is a HELP, a TYPE, or a sample: name{label="value"} value [timestamp]',
        lambda found: [line.rest for line in found.lines if line.keyword == "?"],
        "a{b=c} 1\n",
    ),
    "nothing of OpenMetrics": Rule(
        "UNIT, exemplars and EOF are OpenMetrics'.",
        lambda found: [line for line in found.lines if line.keyword in {"UNIT", "EOF"} or line.exemplar],
        'a 1 # {b="c"} 1\n',
    ),
    "HELP and TYPE are there once": Rule(
        "Only one HELP line, only one TYPE line may exist for any given metric name.",
        _metadata_again,
        "# TYPE a gauge\n" * 2,
        refused=False,
    ),
    "TYPE comes before the samples": Rule(
        "The TYPE line must appear before the first sample is reported for that metric name.",
        _late_metadata,
        "a 1\n# TYPE a gauge\n",
        refused=False,
    ),
    "the types are those there are": Rule(
        "counter, gauge, histogram, summary, or untyped",
        lambda found: [line for line in found.lines if line.keyword == "TYPE" and line.rest not in TYPES],
        "# TYPE a stateset\n",
    ),
    "the lines of a family stand together": Rule(
        "All lines for a given metric must be provided as one single group.",
        _scattered,
        'a 1\nb 1\na{c="d"} 1\n',
        refused=False,
    ),
    "samples follow their own TYPE": Rule(
        "A sample under a TYPE has that name, or one of the suffixes of the type.",
        _samples_of_others,
        "# TYPE a gauge\na_sum 1\n",
        refused=False,  # a family without TYPE of its own
    ),
    "counters are called _total": Rule(
        "A counter keeps its _total in TYPE, so that the samples belong to it.",
        _counters_without_total,
        "# TYPE a counter\na 1\n",
        refused=False,  # as the clients of old wrote them
    ),
    "no series is there twice": Rule(
        "Duplicates are an error of ingestion.", _again, 'a{b="c",d="e"} 1\na{d="e",b="c"} 2\n', refused=False
    ),
    "no label is there twice": Rule(
        "A label name is there once in a sample.",
        lambda found: [line for line in found.samples if len(dict(line.labels)) < len(line.labels)],
        'a{b="c",b="d"} 1\n',
    ),
    "no label stands for the name": Rule(
        "__name__ is how the server keeps the name of the metric.",
        lambda found: [line for line in found.samples if line.label("__name__") is not None],
        'a{__name__="b"} 1\n',
    ),
    "values are what Go's ParseFloat takes": Rule(
        "value is a float represented as required by Go's ParseFloat() function.",
        lambda found: [line for line in found.samples if not GO_FLOAT.fullmatch(line.value)],
        "a 1_0\n",
    ),
    "timestamps are whole milliseconds": Rule(
        "The timestamp is an int64 (milliseconds since epoch).",
        lambda found: [line for line in found.samples if line.time and not re.fullmatch(r"-?\d{1,19}", line.time)],
        "a 1 2.5\n",
    ),
    "HELP escapes backslash and LF alone": Rule(
        "Backslash and the line feed character have to be escaped as \\\\ and \\n.",
        lambda found: [
            line
            for line in found.lines
            if line.keyword == "HELP" and not re.fullmatch(r"(?:[^\\\r]|\\[\\n])*", line.rest, re.DOTALL)
        ],
        "# HELP a \\x\n",
        refused=False,  # Prometheus keeps the backslash, and so do we
    ),
    "label values escape backslash, quote and LF": Rule(
        'Backslash, double-quote and line feed are escaped as \\\\, \\" and \\n.',
        lambda found: [line.rest for line in found.lines if line.keyword == "?"],
        'a{b="c"d"} 1\n',
    ),
    "buckets have a bound": Rule(
        "Each bucket count is given as a separate sample line with the label le.",
        _buckets_without_bound,
        '# TYPE a histogram\na_bucket{le="low"} 1\na_bucket{le="+Inf"} 1\n',
        refused=False,
    ),
    "quantiles are numbers": Rule(
        'Each quantile x is given as a separate sample line with the label {quantile="x"}.',
        _quantiles,
        '# TYPE a summary\na{quantile="half"} 1\n',
        refused=False,
    ),
    "UTF-8 all through": Rule(
        "The format is UTF-8.", lambda found: [] if _encodes(found.text) else ["no UTF-8"], 'a{b="\ud800"} 1\n', False
    ),
}


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def breaches(found):
    """The rules that an exposition breaks, each with what breaks it."""
    return {name: broken for name, rule in RULES.items() if (broken := rule.breaches(found))}


@given(data=st.data())
def test_every_rule_holds_whatever_is_collected(data, registries, rendered, read, tally):
    found = read(rendered("text", data.draw(registries)))
    tally[f"expositions held to {len(RULES)} rules of text 0.0.4"] += 1
    assert breaches(found) == {}


@given(data=st.data())
def test_our_parser_takes_all_of_it(data, registries, rendered, read, tally):
    text = rendered("text", data.draw(registries))
    samples = [sample for family in parse_prometheus(text) for sample in family.samples]
    tally["expositions of text 0.0.4 read by our parser"] += 1
    assert [(sample.name, sample.labels) for sample in samples] == [
        (line.name, dict(line.labels)) for line in read(text).samples
    ]


@given(data=st.data())
def test_the_order_is_always_the_same_and_times_of_creation_only_add_gauges(data, registries, rendered):
    registry = data.draw(registries)
    rendered("text", registry)  # counts what is left out, and so does each later one
    plain = _list_lines_but_created(rendered("text", registry))
    assert _list_lines_but_created(rendered("text", registry)) == plain
    asyncmetrics.enable_created_metrics()
    try:
        created = _list_lines_but_created(rendered("text", registry))
    finally:
        asyncmetrics.disable_created_metrics()
    assert created == plain


def _list_lines_but_created(text):
    left_out = re.compile(r"(# (HELP|TYPE) )?\S*_created[ {]|asyncmetrics_(collector_errors|omitted_samples)_total\{")
    return [line for line in text.split("\n") if not left_out.match(line)]


@pytest.mark.parametrize("name", RULES)
def test_the_checklist_sees_a_breach_of(name, read):
    assert name in breaches(read(RULES[name].fault))


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.refused])
def test_our_parser_refuses_a_breach_of(name):
    with pytest.raises(ParseError):
        list(parse_prometheus(RULES[name].fault))


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if not rule.refused])
def test_our_parser_reads_over_a_breach_of(name):
    """As a Prometheus server would: what is no fault there is none here."""
    assert list(parse_prometheus(RULES[name].fault)) != []


def test_an_empty_registry_is_an_empty_exposition(rendered, registry):
    assert rendered("text", registry) == ""
