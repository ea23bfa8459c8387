"""`asyncmetrics lint` finds what promtool finds, metric by metric; docs/lint.md has the table of differences.

The environment variable ASYNCMETRICS_NEWER_PROMTOOL has the path of a newer promtool, which Debian 12 lacks.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from asyncmetrics.errors import ParseError
from asyncmetrics.lint import RULES, Problem, problems
from asyncmetrics.lint.units import find_base_unit
from tests.lint.expositions import make_exposition
from tests.patience import PROGRAM_SECONDS
from tests.servers.newer_promtool import find_promtool
from tests.servers.requirements import find_program

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("promtool")]

NUMBER = 250
LEAST_READ = 150

# What promtool prints of each kind of problem.
KINDS = {
    "no help text": "AM001",
    "use base unit": "AM002",
    'counter metrics should have "_total" suffix': "AM003",
    'non-counter metrics should not have "_total" suffix': "AM004",
    'metrics should not have "_bucket" suffix': "AM005",
    'metrics should not have "_count" suffix': "AM005",
    'metrics should not have "_sum" suffix': "AM005",
    'non-histogram metrics should not have "le" label': "AM006",
    'non-summary metrics should not have "quantile" label': "AM007",
    "metric name should not include type": "AM008",
    "metric names should not contain ':'": "AM009",
    "metric names should be written in 'snake_case'": "AM010",
    "label names should be written in 'snake_case'": "AM011",
    "metric names should not contain abbreviated units": "AM012",
    "metric not unique": "AM013",
}

Found = set[tuple[str, str]]


class Judged(NamedTuple):
    """An exposition, what promtool finds (None if it refuses the text), and what we find (None if we refuse it)."""

    text: str
    theirs: Found | None
    ours: list[Problem] | None


def _ask(promtool: str, text: str) -> Found | None:
    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )
    assert done.returncode in {0, 1, 3}, done
    if done.returncode == 1:
        assert "text format parsing error" in done.stderr, done.stderr
        return None
    lines = [line.partition(" ") for line in done.stderr.splitlines()]
    assert (done.returncode == 3) is bool(lines)
    return {(metric, next(code for kind, code in KINDS.items() if kind in text)) for metric, _, text in lines}


def _judge(promtool: str) -> list[Judged]:
    texts = list(map(make_exposition, range(NUMBER)))
    with ThreadPoolExecutor(4) as pool:
        theirs = list(pool.map(lambda text: _ask(promtool, text), texts))
    return [Judged(text, found, _find(text)) for text, found in zip(texts, theirs, strict=True)]


def _find(text: str) -> list[Problem] | None:
    try:
        return problems(text, ignore=())
    except ParseError:
        return None


def _compare(judged: list[Judged], adapt: Callable[[Found], Found] = set) -> None:
    """Fail with the first exposition in which the problems differ; ``adapt`` leaves out known differences."""
    read = [one for one in judged if one.theirs is not None]
    assert len(read) >= LEAST_READ
    for one in read:
        assert one.ours is not None, one.text
        ours = {(problem.metric, problem.code) for problem in one.ours if RULES[problem.code].is_of_promtool}
        assert adapt(ours) == adapt(one.theirs or set()), one.text


def _check_refused(judged: list[Judged]) -> None:
    """Fail unless a text that promtool refuses is refused here too, or has a problem of its format."""
    refused = [one for one in judged if one.theirs is None]
    assert len(refused) > 10
    assert [one.text for one in refused if not _has_format_problem(one.ours)] == []


def _has_format_problem(found: list[Problem] | None) -> bool:
    return found is None or any(problem.code == "AM120" for problem in found)


@pytest.fixture(scope="module")
def judged() -> list[Judged]:
    return _judge(find_program("promtool"))


@pytest.fixture(scope="module")
def newer_judged() -> list[Judged]:
    return _judge(find_promtool("newer promtool"))


# The rows of docs/lint.md about promtool 2.42.
def _leave_out_what_2_42_judges_otherwise(found: Found) -> Found:
    return {
        (metric, code)
        for metric, code in found
        if code not in {"AM008", "AM013"} and not (code == "AM002" and _has_several_units(metric))
    }


def _has_several_units(metric: str) -> bool:
    return sum(bool(find_base_unit([word])[0]) for word in metric.split("_")) > 1


def test_promtool_finds_the_same_problems(judged):
    _compare(judged, _leave_out_what_2_42_judges_otherwise)


def test_what_promtool_2_42_takes_for_a_type_in_the_name_is_found_by_two_rules(judged):
    for one in judged:
        if one.theirs is not None and one.ours is not None:
            theirs = {metric for metric, code in one.theirs if code == "AM008"}
            assert {found.metric for found in one.ours if found.code in {"AM008", "AM105"}} == theirs


def test_what_promtool_refuses_is_a_problem(judged):
    _check_refused(judged)


def test_every_rule_of_promtool_is_tried(judged):
    tried = {code for one in judged for _, code in one.theirs or ()}
    assert {code for code, rule in RULES.items() if rule.is_of_promtool} - {"AM013"} == tried


def test_a_newer_promtool_finds_the_same_problems(newer_judged):
    _compare(newer_judged)


def test_what_a_newer_promtool_refuses_is_a_problem(newer_judged):
    _check_refused(newer_judged)


def test_every_rule_of_a_newer_promtool_is_tried(newer_judged):
    tried = {code for one in newer_judged for _, code in one.theirs or ()}
    assert {code for code, rule in RULES.items() if rule.is_of_promtool} == tried


@pytest.mark.parametrize("text", ["a 1 -5\n", "# TYPE a Gauge\na 1\n", "# TYPE a\na 1\n"])
def test_promtool_reads_texts_that_a_server_refuses(text):
    assert (_ask(find_program("promtool"), text), _find(text)) == ({("a", "AM001")}, None)


@pytest.mark.parametrize("text", ["# TYPE a gauge \na 1\n", "# TYPE a  gauge \na 1\n"])
def test_promtool_refuses_a_blank_behind_a_type(text):
    assert _ask(find_program("promtool"), text) is None
    assert _has_format_problem(_find(text))


def test_promtool_reads_a_help_without_a_blank():
    text = "#HELP a b\na 1\n"
    assert _ask(find_program("promtool"), text) == set()
    assert [problem.code for problem in _find(text) or ()] == ["AM001", "AM120"]


def test_the_comparison_can_fail(judged):
    with pytest.raises(AssertionError):
        _compare([one._replace(ours=[]) for one in judged], _leave_out_what_2_42_judges_otherwise)


def test_the_status_of_the_command_is_that_of_promtool(tmp_path):
    promtool = find_program("promtool")
    from asyncmetrics.cli import main

    for text, status in (("# HELP a b\na 1\n", 0), ("a 1\n", 3), ("a x\n", 1)):
        path = tmp_path / "metrics.txt"
        path.write_text(text)
        done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, main(["lint", str(path)])) == (status, status)
