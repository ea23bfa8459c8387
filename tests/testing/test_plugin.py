"""The plugin of pytest in a project of its own: a folder with a module and its tests, run by pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PROGRAM_SECONDS

ROOT = Path(__file__).parents[2]
# By name, and without all other plugins, some of which take seconds to load.
PLUGINS = ("-p", "pytest_asyncmetrics", "-p", "asyncio")

SHOP = """
from asyncmetrics import Counter, Histogram

orders = Counter("orders_total", "Orders.", ["kind"])
paying = Histogram("paying_seconds", "Paying.")

def order(kind):
    orders.labels(kind).inc()
    paying.observe(0.25)
"""


@pytest.fixture
def run(tmp_path):
    """Run pytest on a file of tests beside shop.py, and return its exit status and output."""
    (tmp_path / "shop.py").write_text(SHOP)

    def run(tests: str, *arguments: str) -> tuple[int, str]:
        (tmp_path / "test_shop.py").write_text(tests)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *PLUGINS, *arguments]
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "COLUMNS": "160",
        }
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_metrics_of_a_module_are_asserted_without_a_reset(run):
    status, output = run("""
import asyncio, threading, unittest
import pytest
from shop import order, paying

@pytest.mark.parametrize("again", range(3))
def test_an_order_is_counted(metric_changes, again):
    order("retail")
    metric_changes.assert_delta("orders_total", 1, kind="retail")
    metric_changes.assert_delta("orders_total", 0, kind="wholesale")
    metric_changes.assert_delta("paying_seconds_sum", pytest.approx(0.25))

@pytest.mark.asyncio
async def test_a_task_is_counted(metric_changes):
    await asyncio.gather(*(asyncio.to_thread(order, "retail") for _ in range(4)))
    metric_changes.assert_delta("orders_total", 4, kind="retail")

@pytest.mark.usefixtures("isolated_registry")
def test_isolated(metric_changes):
    from asyncmetrics import REGISTRY, Counter
    Counter("orders_total", "Orders.").inc()
    metric_changes.assert_delta("orders_total", 1)
    assert [change.name for change in metric_changes.list_changes()] == ["orders_total"]

def test_isolated_last(metric_changes, isolated_registry):
    assert metric_changes.list_changes() == []
""")
    assert (status, output.count("passed")) == (0, 1), output
    assert "6 passed" in output


def test_a_failure_shows_the_line_of_the_test_and_what_did_change(run):
    status, output = run("""
from shop import order

def test_an_order_is_counted(metric_changes):
    order("wholesale")
    metric_changes.assert_delta("orders_total", 1, kind="retail")
""")
    assert status == 1
    block = output[output.index("def test_an_order_is_counted") : output.index("short test summary")]
    shown = [line.rstrip() for line in block.splitlines() if line.strip()]
    assert [line.partition("; orders_total has ")[0] for line in shown[:-1]] == [
        "def test_an_order_is_counted(metric_changes):",
        '        order("wholesale")',
        '>       metric_changes.assert_delta("orders_total", 1, kind="retail")',
        'E       AssertionError: orders_total{kind="retail"}: expected a change of 1, but there is no such sample',
        "E       What did change:",
        'E         orders_total{kind="wholesale"}  +1 (from 0 to 1)',
        "E         paying_seconds_count  +1 (from 0 to 1)",
        "E         paying_seconds_sum  +0.25 (from 0 to 0.25)",
        "test_shop.py:6: AssertionError",
    ]


@pytest.mark.slow
def test_it_works_in_the_processes_of_xdist(run):
    status, output = run(
        """
import pytest
from shop import order

@pytest.mark.parametrize("number", range(20))
def test_orders_are_counted(metric_changes, number):
    for _ in range(number):
        order("retail")
    metric_changes.assert_delta("orders_total", number, kind="retail")
""",
        *("-p", "xdist", "-n", "2"),
    )
    assert status == 0, output
    assert "20 passed" in output


def test_a_run_without_the_fixtures_does_not_import_the_package(run):
    status, output = run("""
import sys

def test_without():
    assert [name for name in sys.modules if name.startswith("asyncmetrics")] == []
    assert "pytest_asyncmetrics" in sys.modules

def test_with(metric_changes):
    assert "asyncmetrics.testing" in sys.modules
""")
    assert status == 0, output


def test_the_fixtures_explain_themselves(run):
    status, output = run("", "--fixtures")
    assert "metric_changes.assert_delta(" in output
    assert "isolated_registry" in output


def test_a_project_finds_the_plugin_by_its_entry_point():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.entry-points.pytest11]\nasyncmetrics = "pytest_asyncmetrics"\n' in project
    assert 'only-include = ["asyncmetrics", "pytest_asyncmetrics.py"]' in project
