"""The page reads what our own parser reads, and does the arithmetic that Prometheus does."""

from __future__ import annotations

import subprocess
from math import inf, isnan
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncmetrics.formats.reading.openmetrics import parse_openmetrics
from asyncmetrics.formats.reading.text import parse_prometheus
from asyncmetrics.formats.writing.openmetrics import encode_openmetrics
from asyncmetrics.formats.writing.text import encode_text
from tests.formats.strategies import (
    ALL_TYPES,
    FINITE,
    HOSTILE,
    MILLISECONDS,
    TEXT_TYPES,
    UTF8,
    UTF8_LABELS,
    make_families,
)
from tests.servers.requirements import find_program

pytestmark = pytest.mark.real

READ = """([text, isOpenMetrics]) => [...new TextReader().read(text, isOpenMetrics).families.values()].map(
  ({base, type, help, samples}) => [base, type, help, samples.map(({name, labels, value}) => [
    name, Object.keys(labels).sort().map((label) => [label, labels[label]]), value])])"""
SETTINGS = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
PARTS = ['a{b="', '"}', " 1\n", "# TYPE a counter\n", "\\", ",", "="]
NAMES = {"names": UTF8, "label_names": UTF8_LABELS}


def _show(value: float) -> float | str:
    return "NaN" if isnan(value) else {inf: "Infinity", -inf: "-Infinity"}.get(value, value)


def _list_families(families):
    return [
        [
            family.name,
            family.type,
            family.documentation.strip(),
            [
                [sample.name, [list(pair) for pair in sorted(sample.labels.items())], _show(sample.value)]
                for sample in family.samples
            ],
        ]
        for family in families
    ]


def _read(run_script, text, *, is_openmetrics):
    found = run_script(READ, [text, is_openmetrics])
    return [
        [base.removesuffix("_total") if kind == "counter" else base, kind, help.strip(), _sort_labels(samples)]
        for base, kind, help, samples in found
    ]


def _sort_labels(samples):
    """Sort as Python does: JavaScript compares UTF-16."""
    return [[name, sorted(labels), value] for name, labels, value in samples]


@pytest.mark.parametrize("names", [{}, NAMES], ids=["legacy", "utf-8"])
def test_a_text_has_the_families_that_our_parser_finds(run_script, names):
    @SETTINGS
    @given(make_families(TEXT_TYPES, MILLISECONDS, openmetrics=False, **names))
    def check(families):
        text = b"".join(encode_text(families, escaping="allow-utf-8")).decode()
        assert _read(run_script, text, is_openmetrics=False) == _list_families(parse_prometheus(text))

    check()


@pytest.mark.parametrize("names", [{}, NAMES], ids=["legacy", "utf-8"])
def test_openmetrics_has_the_families_that_our_parser_finds(run_script, names):
    @SETTINGS
    @given(make_families(ALL_TYPES, FINITE, openmetrics=True, **names))
    def check(families):
        text = b"".join(encode_openmetrics(families, escaping="allow-utf-8")).decode()
        assert _read(run_script, text, is_openmetrics=True) == _list_families(parse_openmetrics(text))

    check()


def test_any_text_at_all_is_read_without_an_exception(run_script):
    @SETTINGS
    @given(st.text() | HOSTILE | st.lists(st.sampled_from(PARTS)).map("".join))
    def check(text):
        assert isinstance(run_script(READ, [text, False]), list)

    check()


def test_a_line_that_is_wrong_is_counted_and_the_others_are_read(run_script):
    script = "(text) => { const {problems, series} = new TextReader().read(text, false); return [series, problems]; }"
    text = 'a 1\nb{c="d} 2\ne 0x1\n\n# a comment\nf{g="h"} 3\n'
    assert run_script(script, text) == [2, {"count": 2, "first": 'b{c="d} 2'}]


def test_labels_called_like_parts_of_objects_are_labels(run_script):
    text = 'a{__proto__="x",constructor="y",toString="z"} 1\n__proto__ 2\n'
    ((_, _, _, [first]), (second, _, _, _)) = run_script(READ, [text, False])
    assert first[1] == [["__proto__", "x"], ["constructor", "y"], ["toString", "z"]]
    assert second == "__proto__"


def _make_cases() -> list[tuple[float, list[tuple[float, int]]]]:
    """Return quantiles and buckets: few and many, empty ones, negative bounds, and ranks above the last bound."""
    random = Random(18)
    cases = []
    for _ in range(60):
        bounds = sorted(random.sample([-2, -1, 0, 0.005, 0.01, 0.1, 0.5, 1, 2.5, 10], random.randint(1, 6)))
        count, buckets = 0, []
        for bound in [*bounds, inf]:
            count += random.choice([0, 0, 1, 7, 1000])
            buckets.append((bound, count))
        buckets[-1] = (inf, max(count, 1))  # promtool takes no NaN for equal to another
        cases.append((random.choice([0.5, 0.95, 0.99]), buckets))
    return cases


def test_quantiles_are_those_of_prometheus(run_script, tmp_path):
    """Judged by promtool, which fails if one of its own quantiles is another one."""
    promtool = find_program("promtool")
    script = """(cases) => cases.map(([q, counts]) => {
      const buckets = new Buckets();
      for (const [bound, count] of counts) buckets.add(parseNumber(bound), count);
      return buckets.quantile(q).value; })"""
    cases = _make_cases()
    found = run_script(script, [[q, [(_bound(bound), count) for bound, count in buckets]] for q, buckets in cases])
    series, tests = [], []
    for number, ((q, buckets), value) in enumerate(zip(cases, found, strict=True)):
        series += [
            f"  - series: 'x_bucket{{n=\"{number}\",le=\"{_bound(bound)}\"}}'\n    values: '{count}'"
            for bound, count in buckets
        ]
        tests.append(
            f'  - expr: histogram_quantile({q}, x_bucket{{n="{number}"}})\n    eval_time: 0s\n    exp_samples:\n'
            f"    - labels: '{{n=\"{number}\"}}'\n      value: {value}"
        )
    file = tmp_path / "quantiles.yml"
    file.write_text(
        "tests:\n- input_series:\n" + "\n".join(series) + "\n  promql_expr_test:\n" + "\n".join(tests) + "\n"
    )
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, f"Unit Testing:  {file}\n  SUCCESS\n\n")


def _bound(bound: float) -> str:
    return "+Inf" if bound == inf else str(bound)
