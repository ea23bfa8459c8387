"""What the runs of a suite amount to: the tests that passed, and the share of those that pass with the real library."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ("Comparison", "Run", "compare", "parse")


@dataclass(frozen=True, slots=True)
class Run:
    """One run: the tests that passed, the reason of each that did not, and whether the real library was loaded."""

    passed: frozenset[str]
    failed: Mapping[str, str] = field(default_factory=dict)
    loaded_real: bool = False
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Comparison:
    """Our run beside the real one.

    ``expected`` tests pass with the real library and are no listed difference. ``missed`` are those of them that do not
    pass with ours, each with its reason. ``unused`` are listed differences that pass with ours: they may be deleted.
    """

    expected: frozenset[str]
    missed: Mapping[str, str]
    differences: frozenset[str]
    unused: frozenset[str]

    @property
    def passed(self) -> int:
        """How many of the expected tests pass with ours."""
        return len(self.expected) - len(self.missed)

    @property
    def ratio(self) -> float:
        """The share of the expected tests that pass with ours; 0 if there are none."""
        return self.passed / len(self.expected) if self.expected else 0.0


def parse(lines: Iterable[str]) -> Run:
    """Return the run whose outcomes the pytest plugin wrote.

    A test passes if its call passes and no phase of it fails. A run is complete if the plugin wrote its last line.
    """
    called: set[str] = set()
    failed: dict[str, str] = {}
    loaded = complete = False
    for line in lines:
        entry = json.loads(line)
        if "real" in entry:
            loaded, complete = bool(entry["real"]), True
        elif entry["outcome"] == "failed":
            failed.setdefault(entry["test"], entry["cause"])
        elif entry["outcome"] == "passed" and entry["when"] == "call":
            called.add(entry["test"])
    return Run(frozenset(called - failed.keys()), failed, loaded, complete)


def compare(real: Iterable[Run], ours: Run, differences: Collection[str]) -> Comparison:
    """Compare our run with those of the real library: a test that fails in one of those does not count."""
    passes = frozenset[str].intersection(*(run.passed for run in real))
    expected = passes.difference(differences)
    missed = {test: _find_cause(test, ours) for test in sorted(expected - ours.passed)}
    listed = passes.intersection(differences)
    return Comparison(expected, missed, listed - ours.passed, listed & ours.passed)


def _find_cause(test: str, run: Run) -> str:
    """Return why a test did not pass: it failed, its file could not be imported, or the run never came to it."""
    return run.failed.get(test) or run.failed.get(test.partition("::")[0], "did not run")
