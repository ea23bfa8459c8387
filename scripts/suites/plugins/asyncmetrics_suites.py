"""A pytest plugin: put asyncmetrics into prometheus_client's place, and write each test's outcome at once.

Outcomes are lines of JSON, so that those before a crash are kept. The last line says whether the real library was
loaded. It runs in the suite's environment, which has no other module of this project but asyncmetrics.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

WAY = os.environ["ASYNCMETRICS_SUITES_WAY"]
OUTCOMES = Path(os.environ["ASYNCMETRICS_SUITES_OUTCOMES"])
OURS = os.environ["ASYNCMETRICS_SUITES_OURS"]
_RUNNER = os.getpid()  # a test may fork, and its child must not write

if WAY == "install":
    from asyncmetrics.prometheus_client import install

    install()


def _write(**line: object) -> None:
    if os.getpid() == _RUNNER:
        with OUTCOMES.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _find_cause(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return the line of the traceback that says what was wrong."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message if crash is not None else report.longrepr)
    return " ".join(text.split())[:400]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write the outcome of one phase of a test."""
    outcome = "skipped" if hasattr(report, "wasxfail") else report.outcome
    cause = _find_cause(report) if report.failed else ""
    _write(test=report.nodeid, when=report.when, outcome=outcome, cause=cause)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Write that a file could not be collected."""
    if report.failed:
        _write(test=report.nodeid, when="collect", outcome="failed", cause=_find_cause(report))


def pytest_sessionfinish() -> None:
    """Write which modules of the real library were loaded."""
    _write(real=sorted(name for name, module in list(sys.modules.items()) if _is_theirs(name, module)))


def _is_theirs(name: str, module: object) -> bool:
    file = getattr(module, "__file__", None)
    return name.partition(".")[0] == "prometheus_client" and bool(file) and not Path(str(file)).is_relative_to(OURS)
