"""The benchmarks run: each of them has figures for us, whichever peers are installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PROGRAM_SECONDS

pytestmark = pytest.mark.xdist_group("benchmarks")  # which share one run

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py"))
ON_SERVERS = {"clients": "redis-server", "fleet": "prometheus", "runtime": "wrk", "server": "wrk"}
OURS = {"asyncmetrics", "runtime=True"}  # a benchmark without peers compares options of ours
IN_PROCESS = sorted(set(NAMES).difference(ON_SERVERS))


def _run(*arguments: str, blocked: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    hide = "".join(f"sys.modules[{name!r}] = None; " for name in blocked.split())
    code = f"import sys; {hide}from benchmarks.__main__ import main; main({list(arguments)!r})"
    settings = {"env": {**os.environ, **environment}, "cwd": ROOT, "timeout": PROGRAM_SECONDS}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, **settings)


def _results(folder: Path, names: list[str]) -> tuple[str, dict]:
    path = folder / "results.json"
    done = _run("--quick", "--json", str(path), *names)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> tuple[str, dict]:
    """What a quick run of everything that needs no server prints, and what it writes."""
    return _results(tmp_path_factory.mktemp("benchmarks"), IN_PROCESS)


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_PROCESS)
def test_every_benchmark_gives_figures_for_us_in_every_discipline(results, name):
    _check_figures_for_us(*results, name)


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("name", ON_SERVERS)
def test_the_benchmarks_on_servers_give_figures_for_us_in_every_discipline(binary, tmp_path, name):
    binary(ON_SERVERS[name])
    _check_figures_for_us(*_results(tmp_path, [name]), name)


@pytest.mark.parametrize(("name", "program"), ON_SERVERS.items())
def test_without_their_servers_the_benchmarks_on_servers_say_so(name, program):
    done = _run("--quick", name, PATH="")
    assert done.returncode == 0, done.stderr
    assert f"{program} is not on the PATH" in done.stdout


def _check_figures_for_us(printed: str, written: dict, name: str) -> None:
    rows = [row for row in written["rows"] if row["benchmark"] == name]
    ours = {row["discipline"] for row in rows if row["contender"] in OURS and row["figures"]}
    assert ours
    assert ours == {row["discipline"] for row in rows}, printed
    assert f"== {name} " in printed


@pytest.mark.slow
def test_the_interpreter_and_the_versions_are_noted(results):
    printed, written = results
    assert written["python"].split()[1] == sys.version.split()[0]
    assert written["python"] in printed
    assert set(written["versions"]) >= {"asyncmetrics-prometheus", "prometheus_client", "pytheus"}


@pytest.mark.slow
def test_a_quick_run_judges_no_target(results):
    assert {row["met"] for row in results[1]["rows"]} == {None}


def test_a_peer_that_is_missing_is_shown_as_such():
    done = _run("--quick", "hot_path", "memory", blocked="pytheus prometheus_client prometheus_client.openmetrics")
    assert done.returncode == 0, done.stderr
    missing = [line.split("  ")[-1].strip() for line in done.stdout.splitlines() if "prometheus_client  " in line]
    assert missing
    assert set(missing) == {"prometheus_client is not installed"}


def test_without_a_framework_middleware_is_measured_on_what_needs_none():
    done = _run("--quick", "middleware", blocked="fastapi starlette starlette.applications")
    assert done.returncode == 0, done.stderr
    ours = [line for line in done.stdout.splitlines() if " asyncmetrics  " in line]
    assert [line.split()[0] for line in ours if "is not installed" in line] == ["Starlette,", "Starlette,", "FastAPI,"]
    assert len(ours) == 4


def test_an_unknown_name_is_an_error_that_lists_the_known_ones():
    done = _run("--quick", "hotpath")
    assert done.returncode == 2
    assert all(name in done.stderr for name in NAMES)
