"""``python -m scripts.suites [NAMES] [--way alias|install|path|real|all] [--json FILE]``: print the shares that pass.

Without names all suites run; ``--quick`` runs those that a merge must pass. The exit status is 1 if less than
``--least`` per cent of all tests pass in one of the ways, or a run broke off. ``--pin`` writes the versions that pip
chooses today. The output of each run is kept in build/suites.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

from scripts.suites.differences import DIFFERENCES
from scripts.suites.environments import PIP, build_ours, prepare
from scripts.suites.outcomes import Comparison, Run, compare
from scripts.suites.reports import describe, find_low_shares, find_problems, make_table
from scripts.suites.running import REAL, WAYS, run
from scripts.suites.table import CONSTRAINTS, SUITES

__all__ = ("main",)

_FOLDER = Path(__file__).parents[2] / "build" / "suites"


def main(arguments: list[str] | None = None) -> int:
    """Run the suites that the arguments name, and return the exit status."""
    parser = _make_parser()
    options = parser.parse_args(arguments)
    names = options.names or [name for name, suite in SUITES.items() if suite.quick or not options.quick]
    if unknown := sorted(set(names).difference(SUITES)):
        parser.error(f"no suite is named {', '.join(unknown)}: there are {', '.join(SUITES)}")
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.pin:
        _pin(options.folder)
        return 0
    ways = WAYS if options.way == "all" else tuple(way for way in WAYS if way == options.way)
    ours = build_ours(options.folder)
    results, problems = {}, []
    for name in names:
        runs, comparisons = _run_suite(name, ways, options.folder, ours)
        results[name] = comparisons
        problems += [f"{name}: {problem}" for problem in find_problems(runs, comparisons)]
        print("\n".join(describe(name, runs, comparisons)), flush=True)
    problems += find_low_shares(results, options.least / 100)
    print("\n".join(["", *make_table(results)]))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1, default=_to_json) + "\n", encoding="utf-8")
    for problem in problems:
        print(problem, file=sys.stderr)
    return bool(problems)


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.suites", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAMES", help="of suites; all if there are none")
    parser.add_argument("--way", choices=("all", "real", *WAYS), default="all")
    parser.add_argument("--quick", action="store_true", help="only the suites that a merge must pass")
    parser.add_argument("--least", type=float, default=0.0, metavar="PERCENT", help="fail below this share of tests")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here")
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="where everything is kept")
    parser.add_argument("--pin", action="store_true", help="write the versions that pip chooses today")
    return parser


def _run_suite(
    name: str, ways: tuple[str, ...], folder: Path, ours: Path
) -> tuple[dict[str, Run], dict[str, Comparison]]:
    """Return the runs of a suite, and the comparison of each of ours with the real ones."""
    environment = prepare(name, SUITES[name], folder)
    runs = {way: run(SUITES[name], way, environment, ours) for way in (*REAL, *ways)}
    real = [runs[way] for way in REAL]
    return runs, {way: compare(real, runs[way], DIFFERENCES.get(name, {})) for way in ways}


def _pin(folder: Path) -> None:
    """Install each suite with the versions that pip chooses, and write the lowest one of each package."""
    found: dict[str, tuple[tuple[int, ...], str]] = {}
    for name, suite in SUITES.items():
        environment = prepare(name, suite, folder / "unpinned", constraints=None)
        command = (*PIP, "--python", str(environment.python), "freeze", "--all")
        for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split():
            distribution, _, version = line.partition("==")
            pinned = (tuple(map(int, re.findall(r"\d+", version))), line)
            found[distribution] = min(pinned, found.get(distribution, pinned))
    lines = sorted((line for _, line in found.values()), key=str.lower)
    CONSTRAINTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _to_json(comparison: Comparison) -> dict[str, object]:
    return {
        "expected": len(comparison.expected),
        "passed": comparison.passed,
        "missed": comparison.missed,
        "differences": sorted(comparison.differences),
    }


if __name__ == "__main__":
    sys.exit(main())
