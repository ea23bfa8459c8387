"""The texts about the runs: what is missed, what is wrong with a run, and the table of shares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from scripts.suites.outcomes import Comparison, Run
from scripts.suites.running import REAL, WAYS

__all__ = ("describe", "find_low_shares", "find_problems", "make_table")


def find_problems(runs: Mapping[str, Run], comparisons: Mapping[str, Comparison]) -> Iterator[str]:
    """Yield what makes the figures of a suite worthless, and the listed differences that are none."""
    for way, run in runs.items():
        if not run.complete:
            yield f"{way}: the run broke off"
        elif run.loaded_real != (way in REAL):
            loaded = "was loaded" if run.loaded_real else "was not loaded"
            yield f"{way}: the real prometheus_client {loaded}"
    for way, comparison in comparisons.items():
        if not comparison.expected:
            yield f"{way}: no test passes with the real prometheus_client"
        for test in sorted(comparison.unused):
            yield f"{way}: {test} is a listed difference, but it passes"


def find_low_shares(results: Mapping[str, Mapping[str, Comparison]], least: float) -> Iterator[str]:
    """Yield the ways in which less than the share ``least`` of all suites' tests pass."""
    for way, (passed, expected) in _sum(results).items():
        if passed < least * expected:
            yield f"{way}: {_format(passed, expected)} is less than {least:.0%}"


def describe(name: str, runs: Mapping[str, Run], comparisons: Mapping[str, Comparison]) -> Iterator[str]:
    """Yield lines about one suite: the tests that pass with the real library only, in which ways, and why."""
    first, second = (runs[way] for way in REAL)
    both = first.passed & second.passed
    flaky = len(first.passed | second.passed) - len(both)
    yield f"{name}: {len(both)} pass with the real prometheus_client ({len(first.failed)} fail, {flaky} are flaky)"
    for way, comparison in comparisons.items():
        yield f"  {way}: {_share(comparison)}, listed differences {len(comparison.differences)}"
    missed = {test: cause for comparison in comparisons.values() for test, cause in comparison.missed.items()}
    for test, cause in sorted(missed.items()):
        ways = ", ".join(way for way, comparison in comparisons.items() if test in comparison.missed)
        yield f"    {test} ({ways}): {cause}"


def make_table(results: Mapping[str, Mapping[str, Comparison]]) -> Iterator[str]:
    """Yield a Markdown table: a row for each suite, a column for each way, and the sums."""
    sums = _sum(results)
    yield "| suite | " + " | ".join(sums) + " |"
    yield "|---|" + "---|" * len(sums)
    for name, row in results.items():
        yield f"| {name} | " + " | ".join(_share(row[way]) for way in sums) + " |"
    yield "| **all** | " + " | ".join(_format(*pair) for pair in sums.values()) + " |"


def _sum(results: Mapping[str, Mapping[str, Comparison]]) -> dict[str, tuple[int, int]]:
    """Return for each way how many tests of all suites pass, and how many are expected to."""
    ways = [way for way in WAYS if any(way in row for row in results.values())]
    return {
        way: (sum(row[way].passed for row in results.values()), sum(len(row[way].expected) for row in results.values()))
        for way in ways
    }


def _share(comparison: Comparison) -> str:
    return _format(comparison.passed, len(comparison.expected))


def _format(passed: int, expected: int) -> str:
    return f"{passed} / {expected} ({passed / expected:.1%})" if expected else "0 / 0"
