"""What each rule finds, and what it leaves alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asyncmetrics.lint import RULES, problems

PAGE = (Path(__file__).parents[2] / "docs/lint.md").read_text(encoding="utf-8")


def _text(name: str, kind: str = "gauge", help: str = "Some text.", labels: str = "", value: str = "1") -> str:
    return f"# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{labels and f'{{{labels}}}'} {value}\n"


def _series(label: str, values: list[str], name: str = "x") -> str:
    lines = "".join(f'{name}{{{label}="{value}"}} 1\n' for value in values)
    return f"# HELP {name} Some text.\n# TYPE {name} gauge\n{lines}"


FINDS = {
    "no help line": ("# TYPE x gauge\nx 1\n", {"AM001"}),
    "an empty help text": (_text("x", help=" "), {"AM001"}),
    "a prefix of a base unit": (_text("x_kilobytes"), {"AM002"}),
    "another unit in the middle": (_text("x_days_y"), {"AM002"}),
    "a unit that is the whole name": (_text("minutes"), {"AM002"}),
    "only the first of several units": (_text("x_seconds_minutes"), set()),
    "a word that ends like a unit": (_text("x_thermometers"), set()),
    "a counter without the suffix": (_text("x", "counter"), {"AM003"}),
    "a counter with the suffix": (_text("x_total", "counter"), set()),
    "a gauge with the suffix of a counter": (_text("x_total"), {"AM004"}),
    "an untyped metric with the suffix of a counter": ("# HELP x_total y\nx_total 1\n", set()),
    "a gauge with the suffix of a histogram": (_text("x_bucket"), {"AM005"}),
    "a gauge with the suffix of a summary": (_text("x_sum"), {"AM005"}),
    "an untyped metric with the suffix of a histogram": ("# HELP x_bucket y\nx_bucket 1\n", set()),
    "le at a gauge": (_text("x", labels='le="1"'), {"AM006"}),
    "quantile at a gauge": (_text("x", labels='quantile="1"'), {"AM007"}),
    "quantile at a histogram": (
        '# HELP x y\n# TYPE x histogram\nx_bucket{quantile="1",le="+Inf"} 1\n',
        {"AM007"},
    ),
    "the own labels of a summary": ('# HELP x y\n# TYPE x summary\nx{quantile="0.5"} 1\n', set()),
    "its type in the name": (_text("x_gauge_y"), {"AM008"}),
    "its type as the first word": (_text("gauge_x"), set()),
    "the type of another metric": (_text("x_histogram"), {"AM105"}),
    "a colon": (_text("a:b"), {"AM009"}),
    "a name in camelCase": (_text("queueSize"), {"AM010"}),
    "a label in camelCase": (_text("x", labels='statusCode="1"'), {"AM011"}),
    "an abbreviated unit": (_text("x_ms"), {"AM012"}),
    "an abbreviated unit before the suffix": (_text("x_kb_total", "counter"), {"AM012"}),
    "a word that begins like an abbreviation": (_text("x_msgs"), set()),
    "a series twice": ('# HELP x y\nx{a="1"} 1\nx{a="1"} 2\n', {"AM013", "AM120"}),
    "the name as the help text": (_text("queue_size", help="Queue size."), {"AM101"}),
    "the name of a counter as the help text": (_text("jobs_total", "counter", help="Jobs"), {"AM101"}),
    "a help text of another metric": (_text("shop_x") + _text("shop_y"), {"AM102"}),
    "a help text of another library": (_text("shop_x") + _text("other_y"), set()),
    "a percentage": (_text("x_percent"), {"AM103"}),
    "seconds in short": (_text("x_msecs"), {"AM103"}),
    "a minimum": (_text("x_min"), set()),
    "a name that ends with created": (_text("orders_created"), {"AM104"}),
    "the created sample of a counter": (_text("x_total", "counter") + _text("x_created"), set()),
    "an info with a value": (_text("x_info", value="2"), {"AM104"}),
    "an info": (_text("x_info"), set()),
    "a counter of times": (_text("x_timestamp_seconds", "histogram").replace("seconds 1", "seconds_sum 1"), {"AM106"}),
    "the label job": (_text("x", labels='job="a"'), {"AM111"}),
    "the label instance": (_text("x", labels='instance="a"'), {"AM111"}),
    "a label with two underscores": (_text("x", labels='__a="b"'), {"AM112"}),
    "a user": (_text("x", labels='user_id="1"'), {"AM113"}),
    "a user in camelCase": (_text("x", labels='userId="1"'), {"AM011", "AM113"}),
    "an address": (_text("x", labels='customer_email="a"'), {"AM113"}),
    "a path": (_text("x", labels='path="/orders/7"'), {"AM113"}),
    "a template": (_text("x", labels='path="/orders/{id}"'), set()),
    "a path of an info": (_text("x_info", labels='path="/dev/sda"'), set()),
    "UUIDs": (_series("key", [f"{n:08x}-0000-4000-8000-000000000000" for n in range(10)]), {"AM114"}),
    "few UUIDs": (_series("key", [f"{n:08x}-0000-4000-8000-000000000000" for n in range(9)]), set()),
    "large numbers": (_series("key", [str(10_000 + n) for n in range(10)]), {"AM114"}),
    "many small numbers": (_series("key", [str(n) for n in range(50)]), {"AM114"}),
    "many processors": (_series("cpu", [str(n) for n in range(256)]), set()),
    "times": (_series("key", [f"2026-01-{n:02} 10:00" for n in range(10, 30)]), {"AM114"}),
    "e-mail addresses": (_series("key", [f"u{n}@example.org" for n in range(10)]), {"AM114"}),
    "IP addresses": (_series("key", [f"10.0.0.{n}" for n in range(10)]), {"AM114"}),
    "paths with an id": (_series("key", [f"/orders/{n}/items" for n in range(10)]), {"AM114"}),
    "many words": (_series("key", [f"word{chr(97 + n)}" for n in range(26)]), set()),
    "1001 values": (_series("key", ["word" + "ab"[n % 2] * n for n in range(1001)]), {"AM115"}),
    "1000 values": (_series("key", ["word" + "ab"[n % 2] * n for n in range(1000)]), set()),
    "a second HELP": ("# HELP x y\n# HELP x z\nx 1\n", {"AM120"}),
    "a metric without samples": ("# TYPE fooBar_ms gauge\n", set()),
    "nothing": ("", set()),
}  # fmt: skip


@pytest.mark.parametrize("case", FINDS)
def test_it_finds(case):
    text, expected = FINDS[case]
    assert {problem.code for problem in problems(text, ignore=())} == expected


@pytest.mark.parametrize("code", RULES)
def test_every_rule_finds_something_here(code):
    assert any(code in expected for _, expected in FINDS.values())


@pytest.mark.parametrize("code", RULES)
def test_every_rule_has_a_heading_on_its_page(code):
    assert re.search(rf"^### {code}$", PAGE, re.M)


def test_the_page_has_no_rule_that_does_not_exist():
    assert set(re.findall(r"^### (AM\d+)$", PAGE, re.M)) == set(RULES)


def test_the_codes_below_100_are_those_of_promtool():
    assert [code for code, rule in RULES.items() if rule.is_of_promtool] == [code for code in RULES if code < "AM100"]


@pytest.mark.parametrize(
    ("text", "better"),
    [
        (_text("x_milliseconds_total", "counter"), "x_seconds_total"),
        (_text("x_jobs", "counter"), "x_jobs_total"),
        (_text("x_total"), "x"),
        (_text("queueSize"), "queue_size"),
        (_text("a:b"), "a_b"),
        (_text("wait_ms"), "wait_seconds"),
        (_text("cpu_percent"), "cpu_ratio"),
    ],
)
def test_the_advice_has_the_better_name(text, better):
    (problem,) = problems(text, ignore=())
    assert repr(better) in problem.advice


def test_a_problem_of_several_series_is_one_problem():
    text = '# HELP x y\n# TYPE x gauge\nx{le="1"} 1\nx{le="2"} 1\n'
    assert [(problem.code, problem.label) for problem in problems(text, ignore=())] == [("AM006", "le")]


def test_values_of_any_length_and_form_are_judged_at_once():
    hostile = [":" * 100_000, "a@" * 50_000, "/" * 100_000, "1" * 100_000, "0" * 31 + "-" * 50_000]
    text = _series("key", [f"{value}{n}" for n in range(5) for value in hostile])
    assert problems(text, ignore=()) == []
