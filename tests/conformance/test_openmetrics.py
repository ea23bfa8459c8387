"""OpenMetrics 1.0, rule by rule, over whatever registries hypothesis makes.

https://prometheus.io/docs/specs/om/open_metrics_spec/. Each rule comes with a text that breaks it: the checklist has to
see it, and our own parser has to refuse it.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import asyncmetrics
from asyncmetrics.errors import ParseError
from asyncmetrics.formats.reading.openmetrics import parse_openmetrics
from tests.conformance.openmetrics_checklist import LIVE, RULES, WRITTEN, breaches

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
def test_our_parser_accepts_expositions_without_a_breach(text, read):
    assert breaches(read(text), RULES) == {}
    list(parse_openmetrics(text))
