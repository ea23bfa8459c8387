"""OpenMetrics 1.0, rule by rule, over whatever registries hypothesis makes.

https://prometheus.io/docs/specs/om/open_metrics_spec/. Each rule comes with a text that breaks it: the checklist has to
see it, and our own parser has to refuse it.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from math import inf, isnan
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import asyncmetrics
from asyncmetrics.errors import ParseError
from asyncmetrics.formats.reading.openmetrics import parse_openmetrics

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?[Ii]nf|NaN")
TIME = re.compile(r"-?\d+(\.\d*)?([eE][+-]?\d+)?")
SUFFIXES = {
    "counter": ("_total", "_created"),
    "gauge": ("",),
    "unknown": ("",),
    "summary": ("", "_count", "_sum", "_created"),
    "histogram": ("_bucket", "_count", "_sum", "_created"),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
    "info": ("_info",),
    "stateset": ("",),
}
OWN = {"histogram": "le", "gaugehistogram": "le", "summary": "quantile"}


class Rule(NamedTuple):
    """What the specification says (and where), what finds breaches in an exposition, and a text with one."""

    says: str
    breaches: object
    fault: str


def _typed(*types):
    """Make a check of every family of these types: what it yields are breaches."""

    def of(check):
        return lambda found: [broken for family in found.families if family.type in types for broken in check(family)]

    return of


def _points(family):
    """The samples of one child at one time, each."""
    found = {}
    own = OWN.get(family.type, family.name if family.type == "stateset" else "")
    for line in family.samples:
        found.setdefault((line.child(own), line.time), []).append(line)
    return found


def _by_suffix(family, point):
    return {line.name.removeprefix(family.name): line.number for line in point if line.label("le") is None}


def _bounds(point):
    return [(float(line.label("le")), line.number) for line in point if line.label("le") is not None]


def _metadata_again(found):
    said = Counter(
        (line.keyword, line.name) for line in found.lines if line.keyword in SUFFIXES or line.keyword.isupper()
    )
    return [what for what, times in said.items() if times > 1]


def _late_metadata(found):
    seen, late = set(), []
    for line in found.lines:
        if line.keyword == "":
            seen.add(line.name)
        elif line.name in seen:
            late.append(line)
    return late


def _foreign_samples(found):
    return [
        (family.name, line.name)
        for family in found.families
        for line in family.samples
        if line.name not in {family.name + suffix for suffix in SUFFIXES.get(family.type, ("",))}
    ]


def _clashing_names(found):
    taken = Counter(
        name
        for family in found.families
        for name in {family.name + suffix for suffix in ("", *SUFFIXES.get(family.type, ()))}
    )
    return [name for name, times in taken.items() if times > 1]


def _scattered_children(family):
    own = OWN.get(family.type, family.name if family.type == "stateset" else "")
    order = [line.child(own) for line in family.samples]
    runs = [child for index, child in enumerate(order) if index == 0 or order[index - 1] != child]
    return [child for child, times in Counter(runs).items() if times > 1]


def _times_backwards(found):
    return [
        (one, other)
        for family in found.families
        for lines in family.children().values()
        for one, other in pairwise([line for line in lines if line.name == lines[0].name])
        if one.time is None or other.time is None or not float(other.time) > float(one.time)
    ]


def _again(found):
    series = Counter((line.name, frozenset(line.labels), line.time) for line in found.samples)
    return [what for what, times in series.items() if times > 1]


def _bad_units(found):
    return [
        family.name
        for family in found.families
        if family.unit and (family.type in {"info", "stateset"} or not family.name.endswith(f"_{family.unit}"))
    ]


@_typed("counter", "histogram", "summary", "gaugehistogram")
def _negative_or_nan(family):
    barred = {"_total", "_bucket", "_count", "_gcount"} | (
        {"_sum"} if family.type in {"summary", "histogram"} else set()
    )
    return [line for line in family.samples if line.name.removeprefix(family.name) in barred and not line.number >= 0]


@_typed("histogram", "summary", "gaugehistogram")
def _fractions(family):
    whole = {"_bucket", "_count", "_gcount"}
    lines = [line for line in family.samples if line.name.removeprefix(family.name) in whole]
    return [line for line in lines if not (line.number.is_integer() and line.number != inf)]


@_typed("histogram", "gaugehistogram")
def _without_infinity(family):
    return [point for point in _points(family).values() if "+Inf" not in [line.label("le") for line in point]]


@_typed("histogram", "gaugehistogram")
def _not_cumulative(family):
    for point in _points(family).values():
        for (low, count), (high, more) in pairwise(_bounds(point)):
            if not (low < high and count <= more):
                yield point


@_typed("histogram", "gaugehistogram")
def _count_is_not_infinity(family):
    for point in _points(family).values():
        counts = [number for suffix, number in _by_suffix(family, point).items() if suffix in {"_count", "_gcount"}]
        if counts and counts[0] != _bounds(point)[-1][1]:
            yield point


@_typed("histogram", "gaugehistogram")
def _count_without_sum(family):
    for point in _points(family).values():
        suffixes = _by_suffix(family, point)
        if ("_count" in suffixes) != ("_sum" in suffixes) or ("_gcount" in suffixes) != ("_gsum" in suffixes):
            yield point


@_typed("histogram")
def _sum_of_negatives(family):
    for point in _points(family).values():
        if min(bound for bound, _ in _bounds(point)) < 0 and {"_sum", "_count"} & _by_suffix(family, point).keys():
            yield point


@_typed("gaugehistogram")
def _bad_gsum(family):
    for point in _points(family).values():
        total = _by_suffix(family, point).get("_gsum", 0)
        if isnan(total) or (total < 0 and min(bound for bound, _ in _bounds(point)) >= 0):
            yield point


@_typed("histogram", "gaugehistogram", "summary")
def _own_label_astray(family):
    own, suffix = OWN[family.type], "" if family.type == "summary" else "_bucket"
    return [line for line in family.samples if (line.label(own) is None) == (line.name == family.name + suffix)]


@_typed("histogram", "gaugehistogram", "summary")
def _bounds_not_canonical(family):
    texts = {line.label(OWN[family.type]) for line in family.samples} - {None}
    # Floats are written as Go's %g would, with .0 on whole numbers.
    return [text for text in texts if not re.fullmatch(r"-?\d+\.\d+|-?\d(\.\d+)?e[+-]\d{2,}|[+]Inf|-Inf", text)]


@_typed("summary")
def _bad_quantiles(family):
    quantiles = [line for line in family.samples if line.name == family.name]
    return [line for line in quantiles if not 0 <= float(line.label("quantile") or -1) <= 1 or line.number < 0]


@_typed("info")
def _info_not_one(family):
    return [line for line in family.samples if line.number != 1]


@_typed("stateset")
def _bad_states(family):
    return [line for line in family.samples if line.number not in {0, 1} or line.label(family.name) is None]


def _exemplars(found):
    for family in found.families:
        for line in family.samples:
            if line.exemplar:
                yield line.name.removeprefix(family.name), family.type, line, *line.exemplar


def _misplaced_exemplars(found):
    allowed = {("_total", "counter"), ("_bucket", "histogram"), ("_bucket", "gaugehistogram")}
    return [line for suffix, kind, line, *_ in _exemplars(found) if (suffix, kind) not in allowed]


def _long_exemplars(found):
    return [line for _, _, line, labels, *_ in _exemplars(found) if sum(len(a) + len(b) for a, b in labels) > 128]


def _exemplars_outside(found):
    return [line for _, _, line, _, value, _ in _exemplars(found) if float(value) > float(line.label("le") or "+Inf")]


def _bad_numbers(found):
    exemplars = [value for _, _, _, _, value, _ in _exemplars(found)]
    return [value for value in [*(line.value for line in found.samples), *exemplars] if not NUMBER.fullmatch(value)]


def _bad_times(found):
    times = [line.time for line in found.samples] + [time for *_, time in _exemplars(found)]
    return [time for time in times if time is not None and not TIME.fullmatch(time)]


def _labels_again(found):
    blocks = [line.labels for line in found.samples] + [labels for _, _, _, labels, *_ in _exemplars(found)]
    return [labels for labels in blocks if len(dict(labels)) < len(labels)]


def _misplaced_end(found):
    ends = [index for index, line in enumerate(found.lines) if line.keyword == "EOF"]
    return [] if ends == [len(found.lines) - 1] else [ends]


RULES = {
    "EOF is the last line, once": Rule('"All expositions MUST end with a # EOF"', _misplaced_end, "a 1\n"),
    "no blank line": Rule(
        "ABNF: exposition", lambda found: [raw for raw in found.text.split("\n")[:-1] if not raw], "a 1\n\n# EOF\n"
    ),
    "every line is metadata or a sample": Rule(
        "ABNF: metricset",
        lambda found: [line.rest for line in found.lines if line.keyword == "?"],
        "# a comment\n# EOF\n",
    ),
    "metadata is there once": Rule(
        '"There MUST NOT be more than one of each type of metadata line for a MetricFamily"',
        _metadata_again,
        "# TYPE a gauge\n# TYPE a gauge\n# EOF\n",
    ),
    "metadata comes before the samples": Rule(
        '"Metadata … before … samples"', _late_metadata, "a 1\n# TYPE a gauge\n# EOF\n"
    ),
    "the types are those there are": Rule(
        "ABNF: metric-type",
        lambda found: [family.type for family in found.families if family.type not in SUFFIXES],
        "# TYPE a untyped\n# EOF\n",
    ),
    "samples have a suffix of their type": Rule('"Suffixes"', _foreign_samples, "# TYPE a counter\na 1\n# EOF\n"),
    "no two families want one name": Rule(
        '"MetricFamily names … MUST be unique", and so are those of their samples',
        _clashing_names,
        "# TYPE a counter\na_total 1\n# TYPE a_total gauge\na_total 1\n# EOF\n",
    ),
    "the samples of a child stand together": Rule(
        '"Metrics MUST NOT be interleaved"',
        lambda found: [child for family in found.families for child in _scattered_children(family)],
        '# TYPE a summary\na_count{b="1"} 1\na_count{b="2"} 1\na_sum{b="1"} 1\n# EOF\n',
    ),
    "times of a child go forward": Rule(
        '"MetricPoints … MUST have monotonically increasing timestamps"', _times_backwards, "a 1 2\na 1 1\n# EOF\n"
    ),
    "no sample is there twice": Rule('"… MUST NOT be duplicates"', _again, "a 1\na 1\n# EOF\n"),
    "no label is there twice": Rule('"Label names … MUST be unique"', _labels_again, 'a{b="c",b="d"} 1\n# EOF\n'),
    "no label stands for the name": Rule(
        "what a server keeps the name under",
        lambda found: [line for line in found.samples if line.label("__name__") is not None],
        'a{__name__="b"} 1\n# EOF\n',
    ),
    "values are numbers": Rule("ABNF: number", _bad_numbers, "a 1_0\n# EOF\n"),
    "times are numbers": Rule("ABNF: timestamp = realnumber", _bad_times, "a 1 NaN\n# EOF\n"),
    "the unit is the end of the name": Rule(
        '"the unit … MUST be a suffix of the MetricFamily name"', _bad_units, "# TYPE a gauge\n# UNIT a b\n# EOF\n"
    ),
    "infos and statesets have no unit": Rule(
        '"MUST have an empty Unit string"', _bad_units, "# TYPE a_b info\n# UNIT a_b b\n# EOF\n"
    ),
    "counts are neither negative nor NaN": Rule(
        '"A Total … MUST NOT be NaN … or negative"', _negative_or_nan, "# TYPE a counter\na_total -1\n# EOF\n"
    ),
    "sums are neither negative nor NaN": Rule(
        '"Sum MUST NOT be NaN"', _negative_or_nan, "# TYPE a summary\na_count 1\na_sum NaN\n# EOF\n"
    ),
    "counts are whole numbers": Rule(
        '"bucket values MUST be integers"', _fractions, '# TYPE a histogram\na_bucket{le="+Inf"} 0.5\n# EOF\n'
    ),
    "histograms have the bucket +Inf": Rule(
        '"MUST have a bucket with a +Inf threshold"',
        _without_infinity,
        '# TYPE a histogram\na_bucket{le="1.0"} 1\n# EOF\n',
    ),
    "buckets are sorted and cumulative": Rule(
        '"Buckets MUST be sorted … cumulative"',
        _not_cumulative,
        '# TYPE a histogram\na_bucket{le="1.0"} 2\na_bucket{le="+Inf"} 1\n# EOF\n',
    ),
    "the count is the bucket +Inf": Rule(
        '"_count … equal to the +Inf bucket"',
        _count_is_not_infinity,
        '# TYPE a histogram\na_bucket{le="+Inf"} 1\na_count 2\na_sum 1\n# EOF\n',
    ),
    "count and sum go together": Rule(
        '"if and only if … Count and Sum"',
        _count_without_sum,
        '# TYPE a histogram\na_bucket{le="+Inf"} 1\na_count 1\n# EOF\n',
    ),
    "negative buckets have no sum": Rule(
        '"If a histogram has negative buckets … MUST NOT have a sum"',
        _sum_of_negatives,
        '# TYPE a histogram\na_bucket{le="-1.0"} 0\na_bucket{le="+Inf"} 1\na_count 1\na_sum 1\n# EOF\n',
    ),
    "a gsum is negative with negative buckets only": Rule(
        '"GaugeHistogram … gsum"',
        _bad_gsum,
        '# TYPE a gaugehistogram\na_bucket{le="1.0"} 0\na_bucket{le="+Inf"} 1\na_gcount 1\na_gsum -1\n# EOF\n',
    ),
    "le and quantile are where they belong": Rule(
        '"le … quantile"', _own_label_astray, "# TYPE a summary\na 1\n# EOF\n"
    ),
    "quantiles are from 0 to 1, their values not negative": Rule(
        '"Quantiles MUST be between 0 and 1"', _bad_quantiles, '# TYPE a summary\na{quantile="1.5"} 1\n# EOF\n'
    ),
    "an info is 1": Rule('"MUST be 1"', _info_not_one, "# TYPE a info\na_info 2\n# EOF\n"),
    "a state is 0 or 1 and has its label": Rule(
        '"StateSet … MUST be 0 or 1"', _bad_states, '# TYPE a stateset\na{a="b"} 2\n# EOF\n'
    ),
    "exemplars are at totals and buckets": Rule(
        '"Exemplars … allowed only …"', _misplaced_exemplars, '# TYPE a gauge\na 1 # {b="c"} 1\n# EOF\n'
    ),
    "exemplars have 128 characters": Rule(
        '"MUST NOT exceed 128 UTF-8 character code points"',
        _long_exemplars,
        f'# TYPE a counter\na_total 1 # {{b="{"é" * 128}"}} 1\n# EOF\n',
    ),
    "exemplars are within their bucket": Rule(
        '"Exemplar … within the bucket"',
        _exemplars_outside,
        '# TYPE a histogram\na_bucket{le="1.0"} 1 # {b="c"} 2\na_bucket{le="+Inf"} 1\n# EOF\n',
    ),
}
# Prometheus reads other spellings as well, and so does our parser; what we write is canonical.
WRITTEN = {
    "bounds are canonical numbers": Rule(
        '"Canonical Numbers"',
        _bounds_not_canonical,
        '# TYPE a histogram\na_bucket{le="1"} 1\na_bucket{le="+Inf"} 1\n# EOF\n',
    ),
    "the target comes first": Rule(
        '"target_info … SHOULD be first"',
        lambda found: [
            family.name for family in found.families[1:] if family.name == "target" and family.type == "info"
        ],
        "a 1\n# TYPE target info\ntarget_info 1\n# EOF\n",
    ),
    "the last line ends with LF": Rule(
        "ABNF: [LF] is what readers may miss", lambda found: [] if found.text[-1:] == "\n" else [found.text], "# EOF"
    ),
    "HELP escapes quotes as well": Rule(
        "ABNF: escaped-string",
        lambda found: [
            line
            for line in found.lines
            if line.keyword == "HELP" and not re.fullmatch(r'(?:[^\\\n\r"]|\\[\\n"])*', line.rest)
        ],
        '# HELP a "b"\n# EOF\n',
    ),
    "no times of creation unless asked for": Rule(
        "they are off",
        lambda found: [
            family.name
            for family in found.families
            if family.type in {"counter", "summary", "histogram"} and family.called("_created")
        ],
        "# TYPE a counter\na_created 1\n# EOF\n",
    ),
}
LIVE = "no times of creation unless asked for"  # a collector of an application's may well have them


def breaches(found, rules=RULES | WRITTEN):
    """The rules that an exposition breaks, each with what breaks it."""
    return {name: broken for name, rule in rules.items() if (broken := list(rule.breaches(found)))}


CHECKED = {name: rule for name, rule in (RULES | WRITTEN).items() if name != LIVE}


@given(data=st.data(), created=st.booleans())
def test_every_rule_holds_whatever_is_collected(data, created, registries, rendered, read, tally):
    registry = data.draw(registries)
    (asyncmetrics.enable_created_metrics if created else asyncmetrics.disable_created_metrics)()
    try:
        found = read(rendered("openmetrics", registry))
    finally:
        asyncmetrics.disable_created_metrics()
    tally[f"expositions held to {len(CHECKED)} rules of OpenMetrics 1.0"] += 1
    assert breaches(found, CHECKED) == {}


@given(data=st.data())
def test_our_parser_takes_all_of_it(data, registries, rendered, read, tally):
    text = rendered("openmetrics", data.draw(registries))
    samples = [sample for family in parse_openmetrics(text) for sample in family.samples]
    tally["expositions of OpenMetrics 1.0 read by our parser"] += 1
    assert [(sample.name, sample.labels) for sample in samples] == [
        (line.name, dict(line.labels)) for line in read(text).samples
    ]


@pytest.mark.parametrize("name", RULES | WRITTEN)
def test_the_checklist_sees_a_breach_of(name, read):
    assert name in breaches(read((RULES | WRITTEN)[name].fault))


@pytest.mark.parametrize("name", RULES)
def test_our_parser_refuses_a_breach_of(name):
    with pytest.raises(ParseError):
        list(parse_openmetrics(RULES[name].fault))


def test_times_of_creation_are_off_for_every_metric_of_ours(registry, rendered, read):
    for kind in ("Counter", "Summary", "Histogram"):
        getattr(asyncmetrics, kind)(kind.lower(), "M.", registry=registry)
    assert breaches(read(rendered("openmetrics", registry))) == {}
    asyncmetrics.enable_created_metrics()
    try:
        found = read(rendered("openmetrics", registry))
    finally:
        asyncmetrics.disable_created_metrics()
    assert breaches(found) == {LIVE: ["counter", "summary", "histogram"]}


def test_an_empty_registry_is_an_end_alone(rendered, registry):
    assert rendered("openmetrics", registry) == "# EOF\n"


@pytest.mark.parametrize(
    "text",
    [
        "# EOF",
        "# EOF\n",
        "a 1\n# EOF\n",
        "# TYPE a gauge\n# EOF\n",
        "# HELP a \n# EOF\n",
        "# TYPE a counter\na_total 1.0 1e3 # {} 1 2\n# EOF\n",
        '# TYPE a histogram\na_bucket{le="-1"} 0\na_bucket{le="+Inf"} 0\n# EOF\n',
        '# TYPE a gaugehistogram\na_bucket{le="+Inf"} 1\na_gcount 1\na_gsum 1\n# EOF\n',
        "# TYPE a summary\na_created 1\n# EOF\n",
        '# TYPE a stateset\na{a="b",c="d"} 1\n# EOF\n',
        "a NaN\nb -inf\nc +Inf\n# EOF\n",
        "a_total 1\na_sum 1\n# EOF\n",
    ],
)
def test_our_parser_takes_what_is_no_breach(text, read):
    assert breaches(read(text), RULES) == {}
    list(parse_openmetrics(text))
