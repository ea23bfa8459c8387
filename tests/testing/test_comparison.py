"""`compare`: what makes a difference, and how the difference is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics import Counter, Gauge, Histogram, Info, enable_created_metrics, generate_latest
from asyncmetrics.errors import DefinitionError, ParseError
from asyncmetrics.metrics import disable_created_metrics
from asyncmetrics.testing import ScrapedMetrics, compare


@pytest.fixture(autouse=True)
def shop(registry):
    """A counter with two series, a histogram and a gauge."""
    orders = Counter("orders_total", "Orders.", ["kind", "region"], registry=registry)
    orders.labels("retail", "eu").inc(2)
    orders.labels("wholesale", "us").inc()
    Histogram("pay_seconds", "Paying.", buckets=[1], registry=registry).observe(0.5)
    Gauge("baskets", "Baskets.", registry=registry).set(float("nan"))


ALL = """
    baskets NaN
    # TYPE orders_total counter
    orders_total{region="us",kind="wholesale"} 1
    pay_seconds_sum 0.5
    pay_seconds_count 1.0
    pay_seconds_bucket{le="+Inf"} 1
    pay_seconds_bucket{le="1"} 1
    # HELP orders_total Orders.
    orders_total{kind="retail",region="eu"} 2
"""


def _message(*arguments, **options) -> list[str]:
    with pytest.raises(AssertionError) as raised:
        compare(*arguments, **options)
    return str(raised.value).splitlines()


def test_the_order_of_lines_and_labels_makes_no_difference(registry):
    compare(registry, ALL)


def test_metadata_that_the_text_does_not_have_makes_no_difference(registry):
    compare(registry, "\n".join(line for line in ALL.splitlines() if "#" not in line))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ('le="+Inf"} 1', 'le="+Inf"} 3', ['- pay_seconds_bucket{le="+Inf"} 3', '+ pay_seconds_bucket{le="+Inf"} 1']),
        ("baskets NaN", "", ["+ baskets NaN"]),
        ("baskets NaN", "baskets NaN\nbags 1", ["- bags 1"]),
        ("Orders.", "Sales.", ["- # HELP orders_total Sales.", "+ # HELP orders_total Orders."]),
        ('le="1"', 'le="2"', ['+ pay_seconds_bucket{le="1.0"} 1', '- pay_seconds_bucket{le="2.0"} 1']),
    ],
)  # fmt: skip
def test_a_difference_is_shown_by_its_lines(registry, before, after, expected):
    head, *lines = _message(registry, ALL.replace(before, after))
    assert head == "The metrics differ from the text (- is expected, + is exposed):"
    assert lines == expected


def test_another_type_is_a_difference(registry):
    lines = _message(registry, "# TYPE baskets counter\nbaskets 1", names=["baskets"])
    assert "- # TYPE baskets_total counter" in lines


def test_names_choose_what_is_compared(registry):
    compare(registry, ALL.replace("NaN", "7"), names=["orders_total", "pay_seconds"])
    compare(
        registry, 'orders_total{kind="wholesale",region="us"} 1\norders_total{kind="retail",region="eu"} 2', ["orders"]
    )


def test_a_name_that_neither_side_has_fails_and_is_corrected(registry):
    assert _message(registry, ALL, names=["order_total"]) == [
        "names has 'order_total', which is no metric of either; did you mean 'orders_total'?"
    ]


def test_an_empty_text_says_that_nothing_is_exposed(registry):
    compare(registry, "", names=["bags"])
    assert _message(registry, "", names=["baskets"])[1:] == ["+ baskets NaN"]


def test_an_openmetrics_text_is_compared_as_openmetrics(registry):
    Info("build", "Build.", registry=registry).info({"version": "1"})
    text = '# TYPE build info\nbuild_info{version="1"} 1\n# EOF'
    compare(registry, text, ["build"])
    assert _message(registry, text.replace('="1"', '="2"'), names=["build"])[1:] == [
        '+ build_info{version="1"} 1',
        '- build_info{version="2"} 1',
    ]


def test_times_of_creation_are_compared_only_if_the_text_has_them(registry):
    enable_created_metrics()
    try:
        compare(registry, ALL)
        assert any(
            line.startswith("+ orders_created")
            for line in _message(registry, f'{ALL}\norders_created{{kind="retail",region="eu"}} 1')
        )
    finally:
        disable_created_metrics()


def test_a_gauge_whose_own_name_ends_with_created_is_compared(registry):
    Gauge("accounts_created", "Accounts.", registry=registry).set(1)
    assert _message(registry, ALL)[1:] == ["+ accounts_created 1"]


@pytest.mark.parametrize("end", ["", "\n# EOF"])
def test_names_and_labels_with_dots_are_written_as_they_are(registry, end):
    Gauge("shop.level", "Level.", ["shop.floor"], registry=registry).labels("2").set(7)
    compare(registry, f'{{"shop.level","shop.floor"="2"}} 7{end}', {"shop.level"})


def test_a_text_or_a_scrape_can_be_compared_too(registry):
    text = generate_latest(registry).decode()
    compare(text, ALL)
    compare(ScrapedMetrics(text, "text/plain"), ALL)
    assert _message("a 1", "a 2") == [
        "The metrics differ from the text (- is expected, + is exposed):",
        "- a 2",
        "+ a 1",
    ]


def test_a_difference_is_of_bounded_length(registry):
    lines = _message("\n".join(f"m{number} 1" for number in range(500)), "other 1")
    assert (len(lines), lines[-1]) == (62, "… and 441 more")


def test_a_difference_shows_no_control_characters(registry):
    Counter("hits_total", "\x1b[2J", ["path"], registry=registry).labels("\x1b[31m\u202e").inc()
    lines = _message(registry, "# HELP hits_total none", names=["hits_total"])
    assert [line for line in lines if not line.isprintable()] == []
    assert r'+ hits_total{path="\x1b[31m\u202e"} 1' in lines


def test_a_text_that_is_none_is_an_error_with_its_line(registry):
    with pytest.raises(ParseError, match="line 2: "):
        compare(registry, "baskets 1\nbaskets one")


@pytest.mark.parametrize(("text", "names"), [(b"baskets 1", ()), ("baskets 1", "baskets"), ("baskets 1", None)])
def test_arguments_of_another_type_are_refused(registry, text, names):
    with pytest.raises(DefinitionError, match=r"^(text|names): expected "):
        compare(registry, text, names)


def test_what_is_no_registry_is_refused():
    with pytest.raises(DefinitionError, match="registry"):
        compare(7, "")


_VALUES = st.dictionaries(st.text(max_size=8), st.floats(), max_size=4)


@given(values=_VALUES, changed=st.data())
def test_a_counter_equals_its_own_exposition_and_no_other(values, changed):
    lines = [f'hits{{path="{_escape(path)}"}} {value}' for path, value in values.items()]
    shuffled = changed.draw(st.permutations(lines))
    compare("\n".join(lines), "\n".join(shuffled))
    if values:
        with pytest.raises(AssertionError, match="The metrics differ"):
            compare("\n".join(lines), "\n".join(shuffled[1:]))


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
