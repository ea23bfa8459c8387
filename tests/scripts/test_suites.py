"""The script that runs other packages' tests counts what passes, and trusts no run that proves nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scripts.suites.differences import DIFFERENCES
from scripts.suites.outcomes import Run, compare, parse
from scripts.suites.reports import describe, find_low_shares, find_problems, make_table
from scripts.suites.running import REAL, WAYS, replace_name
from scripts.suites.table import CONSTRAINTS, SUITES

MIGRATING = Path(__file__).parents[2] / "docs" / "migrating.md"


def _lines(*phases: tuple[str, str, str], real: list[str] | None = None) -> list[str]:
    entries = [{"test": test, "when": when, "outcome": outcome, "cause": "why"} for test, when, outcome in phases]
    end = [] if real is None else [{"real": real}]
    return [json.dumps(entry) for entry in (*entries, *end)]


def _run(*passed: str, failed: dict[str, str] | None = None, loaded_real: bool = False, complete: bool = True) -> Run:
    return Run(frozenset(passed), failed or {}, loaded_real, complete)


def _real(*passed: str) -> Run:
    return _run(*passed, loaded_real=True)


def _problems(ours: Run) -> list[str]:
    runs = {**dict.fromkeys(REAL, _real("a", "b")), "path": ours}
    comparisons = {"path": compare([_real("a", "b")], ours, ())}
    return list(find_problems(runs, comparisons))


def test_a_test_passes_if_its_call_passes():
    run = parse(_lines(("a", "setup", "passed"), ("a", "call", "passed"), ("b", "setup", "passed"), real=[]))
    assert run.passed == {"a"}


@pytest.mark.parametrize("phase", ["setup", "call", "teardown"])
def test_a_test_fails_if_any_phase_fails(phase):
    run = parse(_lines(("a", "call", "passed"), ("a", phase, "failed"), real=[]))
    assert (run.passed, run.failed) == (frozenset(), {"a": "why"})


def test_a_skipped_test_does_not_pass():
    assert not parse(_lines(("a", "setup", "skipped"), real=[])).passed


def test_a_run_without_its_last_line_is_incomplete():
    assert not parse(_lines(("a", "call", "passed"))).complete


def test_an_expected_test_passes_in_every_run_with_the_real_library():
    comparison = compare([_real("a", "b"), _real("b", "c")], _run("a", "b", "c"), ())
    assert comparison.expected == {"b"}


def test_a_test_that_passes_with_ours_only_does_not_raise_the_share():
    comparison = compare([_real("a", "b")], _run("a", "more", failed={"b": "why"}), ())
    assert (comparison.passed, comparison.ratio, comparison.missed) == (1, 0.5, {"b": "why"})


def test_a_test_that_did_not_run_is_missed():
    assert compare([_real("a")], _run(), ()).missed == {"a": "did not run"}


def test_a_test_whose_file_could_not_be_imported_is_missed_with_that_cause():
    assert compare([_real("f.py::a")], _run(failed={"f.py": "why"}), ()).missed == {"f.py::a": "why"}


def test_a_listed_difference_is_left_out_of_both_numbers():
    comparison = compare([_real("a", "b")], _run("a"), {"b"})
    assert (comparison.ratio, comparison.differences, comparison.unused) == (1.0, {"b"}, frozenset())


def test_a_listed_difference_that_passes_is_a_problem():
    comparison = compare([_real("a", "b")], _run("a", "b"), {"b"})
    runs = dict.fromkeys(REAL, _real("a", "b"))
    assert list(find_problems(runs, {"path": comparison})) == ["path: b is a listed difference, but it passes"]


def test_a_good_run_is_no_problem():
    assert _problems(_run("a", "b")) == []


def test_a_share_of_all_suites_below_the_limit_is_a_problem():
    good, bad = compare([_real("a")], _run("a"), ()), compare([_real("b")], _run(), ())
    results = {"one": {"alias": good, "path": bad}, "two": {"alias": good, "path": good}}
    assert list(find_low_shares(results, 0.98)) == ["path: 1 / 2 (50.0%) is less than 98%"]


def test_a_run_that_broke_off_is_a_problem():
    assert _problems(_run("a", "b", complete=False)) == ["path: the run broke off"]


def test_a_run_of_ours_that_loaded_the_real_library_is_a_problem():
    assert _problems(_run("a", "b", loaded_real=True)) == ["path: the real prometheus_client was loaded"]


def test_a_suite_without_a_passing_test_is_a_problem():
    comparison = compare([_real()], _run(), ())
    assert "alias: no test passes with the real prometheus_client" in list(find_problems({}, {"alias": comparison}))


def test_a_missed_test_is_described_once_for_all_ways():
    comparison = compare([_real("a")], _run(failed={"a": "why"}), ())
    runs = dict.fromkeys(REAL, _real("a"))
    assert list(describe("suite", runs, dict.fromkeys(WAYS, comparison)))[-1] == "    a (alias, install, path): why"


def test_the_table_has_a_row_of_sums():
    rows = {"one": {"path": compare([_real("a")], _run("a"), ())}, "two": {"path": compare([_real("b")], _run(), ())}}
    assert list(make_table(rows)) == [
        "| suite | path |",
        "|---|---|",
        "| one | 1 / 1 (100.0%) |",
        "| two | 0 / 1 (0.0%) |",
        "| **all** | 1 / 2 (50.0%) |",
    ]


@pytest.mark.parametrize(
    ("source", "replaced"),
    [
        ("import prometheus_client as p", "import asyncmetrics.prometheus_client as p"),
        ("from prometheus_client.core import A", "from asyncmetrics.prometheus_client.core import A"),
        ("my_prometheus_client, prometheus_clients", "my_prometheus_client, prometheus_clients"),
    ],
)
def test_the_alias_replaces_the_whole_name(source, replaced):
    assert replace_name(source) == replaced.encode()


def test_an_archive_has_a_fixed_version():
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", suite.archive) for suite in SUITES.values())


def test_a_constraint_is_a_fixed_version():
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    assert lines
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)


def test_a_listed_difference_belongs_to_a_suite():
    assert DIFFERENCES.keys() <= SUITES.keys()


def test_a_listed_difference_is_documented():
    text = MIGRATING.read_text(encoding="utf-8")
    listed = [difference for tests in DIFFERENCES.values() for difference in tests.values()]
    assert [difference for difference in listed if difference.documented not in text] == []
