"""The benchmarks run: each of them gives figures for us, whichever peers are there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py"))


def _run(*arguments: str, blocked: str = "") -> subprocess.CompletedProcess[str]:
    hide = "".join(f"sys.modules[{name!r}] = None; " for name in blocked.split())
    code = f"import sys; {hide}from benchmarks.__main__ import main; main({list(arguments)!r})"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> tuple[str, dict]:
    """What a quick run of everything prints, and what it writes."""
    path = tmp_path_factory.mktemp("benchmarks") / "results.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_gives_figures_for_us_in_every_discipline(results, name):
    printed, written = results
    rows = [row for row in written["rows"] if row["benchmark"] == name]
    ours = {row["what"] for row in rows if row["who"] == "asyncmetrics" and row["figures"]}
    assert ours
    assert ours == {row["what"] for row in rows}, printed
    assert f"== {name} " in printed


def test_the_interpreter_and_the_versions_are_noted(results):
    printed, written = results
    assert written["python"].split()[1] == sys.version.split()[0]
    assert written["python"] in printed
    assert set(written["versions"]) >= {"asyncmetrics-prometheus", "prometheus_client", "pytheus"}


def test_a_quick_run_judges_no_target(results):
    assert {row["met"] for row in results[1]["rows"]} == {None}


def test_a_peer_that_is_missing_is_shown_as_such():
    done = _run("--quick", "hot_path", "memory", blocked="pytheus prometheus_client prometheus_client.openmetrics")
    assert done.returncode == 0, done.stderr
    missing = [line.split("  ")[-1].strip() for line in done.stdout.splitlines() if "prometheus_client  " in line]
    assert missing
    assert set(missing) == {"prometheus_client is not installed"}


def test_an_unknown_name_is_told_with_those_there_are():
    done = _run("--quick", "hotpath")
    assert done.returncode == 2
    assert all(name in done.stderr for name in NAMES)
