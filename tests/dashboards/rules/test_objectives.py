"""What an objective may say, and what the command answers to one that it cannot read."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics.dashboards.rules.objectives import (
    KINDS,
    KindMeasure,
    LatencyMeasure,
    RatioMeasure,
    Selector,
    parse_objective,
)
from asyncmetrics.errors import DefinitionError


@pytest.mark.parametrize(
    ("text", "name", "measure"),
    [
        ("http=99.9%", "http", KindMeasure("http", None)),
        ("http:/orders/{n}=99%", "http:/orders/{n}", KindMeasure("http", "/orders/{n}")),
        ("http:/a=b=99%", "http:/a=b", KindMeasure("http", "/a=b")),
        ("front=http:/=99%", "front", KindMeasure("http", "/")),
        ("client:bank:443=99%", "client:bank:443", KindMeasure("client", "bank:443")),
        ("latency<0.5s=99%", "latency", LatencyMeasure(None, None, Decimal("0.5"))),
        ("latency < 500 ms = 99 %", "latency", LatencyMeasure(None, None, Decimal("0.5"))),
        (
            "latency:/items/<int:id><2=99%",
            "latency:/items/<int:id>",
            LatencyMeasure(None, "/items/<int:id>", Decimal(2)),
        ),
        ("http:/items/<int:id>=99%", "http:/items/<int:id>", KindMeasure("http", "/items/<int:id>")),
        ("pay=pay_seconds<1m=99%", "pay", LatencyMeasure(Selector("pay_seconds"), None, Decimal(60))),
        ("latency:/a<=0.5s=99%", "latency:/a", LatencyMeasure(None, "/a", Decimal("0.5"))),
        (
            "size=up_bytes<1000000=99%",
            "size",
            LatencyMeasure(Selector("up_bytes"), None, Decimal(10**6), is_time=False),
        ),
        ("o=a_total/b_total=99%", "o", RatioMeasure(Selector("a_total"), Selector("b_total"))),
        (
            'api=r_total{code=~"5..", path="/a\\"}"}/r_total=99%',
            "api",
            RatioMeasure(Selector("r_total", (("code", "=~", "5.."), ("path", "=", '/a"}'))), Selector("r_total")),
        ),
        (
            're2=a{b="5(", c=~"[[:digit:]]+", d=~"\\\\pN"}/b=99%',
            "re2",
            RatioMeasure(
                Selector("a", (("b", "=", "5("), ("c", "=~", "[[:digit:]]+"), ("d", "=~", r"\pN"))), Selector("b")
            ),
        ),
        ('dot="a.b"/"a.c"{}=99%', "dot", RatioMeasure(Selector("a.b"), Selector("a.c"))),
    ],
)
def test_an_objective_has_a_name_and_a_measure(text, name, measure):
    found = parse_objective(text)
    assert (found.name, found.measure) == (name, measure)


@pytest.mark.parametrize(
    ("percent", "budget"),
    [("99.9%", "0.001"), ("99.999 %", "0.00001"), ("50%", "0.5"), ("0.5%", "0.995")],
)
def test_the_budget_is_exactly_what_the_objective_leaves(percent, budget):
    assert parse_objective(f"http={percent}").budget == Decimal(budget)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("http", "expected an objective such as http=99.9%"),
        ("http=99.9", "write 99.9%"),
        ("http=0.999", "write 99.9%"),
        ("http=.99", "write 99%"),
        ("http=1", "expected a percentage above 0%"),
        ("http=-5%", "expected a percentage above 0%"),
        ("http=0%", "expected a percentage above 0%"),
        ("http=nan%", "expected a percentage above 0%"),
        ("http=100%", "expected less than 100%"),
        ("http=100.1%", "expected less than 100%"),
        ("http=99.9999999%", "expected at most 6 digits"),
        ("zzz=99%", "there is no measure 'zzz'; expected one of http, latency, "),
        ("htpp=99%", "did you mean 'http'?"),
        ("latency=99%", "expected a limit, such as latency<0.5s=99%"),
        ("latency:/a=99%", "expected a limit, such as latency:/a<0.5s=99%"),
        ("latency<0s=99%", "expected a limit above 0"),
        ("latency<=99%", "such as latency<0.5s=99%"),
        ("latency>0.5s=99%", "expected a limit, such as latency<0.5s=99%"),
        ("latency:/a>0.5s=99%", "expected a limit, such as latency:/a<0.5s=99%"),
        ('latency{route="/"}<1s=99%', "'latency' takes no matchers: write latency:ROUTE<0.5s"),
        ('http{method="GET"}=99%', "'http' takes no matchers: write http:VALUE for one route"),
        ("HTTP=99%", "did you mean 'http'?"),
        ("my shop=http=99%", "before the first '=', got 'my shop'"),
        ("size=up_bytes<1MB=99%", "got '1MB'"),
        ("latency<5y=99%", "got '5y'"),
        ("latency:<5s=99%", "expected a route after 'latency:'"),
        ("http:=99%", "expected a value of the label 'route'"),
        ("a_total/b_total=99%", "such as orders=a_total/b_total=99%"),
        ("pay_seconds<1s=99%", "such as orders=pay_seconds<1s=99%"),
        ('x=a{b="1" c}/d=99%', "expected matchers such as"),
        ('x=a{b=~"5("}/d=99%', '"5(" is no regular expression of Prometheus: missing )'),
        ('x=a/b{c!~"*"}=99%', "is no regular expression of Prometheus: nothing to repeat"),
        ('x=a{b=~"(?!5)..."}/d=99%', "it has no (?!…); use another matcher with != or !~"),
        ("x=a or b<1s=99%", "expected 'latency' or the name of a histogram"),
        ("x=sum(a)/b=99%", "there is no measure 'sum(a)/b'"),
        ("=99%", "there is no measure ''"),
    ],
)
def test_an_objective_that_cannot_be_read_gets_advice(text, problem):
    with pytest.raises(DefinitionError) as caught:
        parse_objective(text)
    assert problem in str(caught.value)
    assert repr(text) in str(caught.value)


@given(st.one_of(st.text(), st.lists(st.sampled_from([*'<>=/%{}"~!:.,01 a\n', "http", "latency", "99%"])).map("".join)))
def test_no_text_makes_another_error(text):
    try:
        found = parse_objective(text)
    except DefinitionError:
        return
    assert 0 < found.budget < 1


@given(st.sampled_from(sorted(KINDS.keys() - {"latency"})), st.text(min_size=1).filter(lambda value: "<" not in value))
def test_a_kind_takes_any_value_of_its_label(kind, value):
    """But a value with ``<``, which begins a limit."""
    found = parse_objective(f"{kind}:{value.strip() or 'x'}=99%")
    assert found.measure == KindMeasure(kind, value.strip() or "x")
