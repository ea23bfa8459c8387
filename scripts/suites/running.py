"""Run one suite in one way: with the real prometheus_client, or with asyncmetrics in its place.

- ``alias`` replaces the name in the sources of the package and of its tests, as a team does in its own code.
- ``install`` calls `asyncmetrics.prometheus_client.install` before anything else is imported.
- ``path`` puts the folder that ``python -m asyncmetrics prometheus-client-path`` prints on PYTHONPATH.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path

from scripts.suites.environments import Environment
from scripts.suites.outcomes import Run, parse
from scripts.suites.table import Suite

__all__ = ("REAL", "WAYS", "replace_name", "run")

REAL = ("real-1", "real-2")
WAYS = ("alias", "install", "path")
_PLUGINS = Path(__file__).with_name("plugins")
_LEFT_OUT = ("PYTHON", "PYTEST", "PROMETHEUS_", "prometheus_", "ASYNCMETRICS_", "COVERAGE_", "DJANGO_", "OTEL_")
_SECONDS = 600  # of a whole suite; pytest-timeout ends one test earlier
_NAME = re.compile(r"\bprometheus_client\b")
_OPTIONS = (
    *("-q", "--timeout=60", "--continue-on-collection-errors"),
    *("-p", "asyncmetrics_suites", "-p", "no:cacheprovider", "-p", "no:randomly"),
    *("-o", "addopts="),  # the coverage of the package is not the subject
)


def run(suite: Suite, way: str, environment: Environment, ours: Path) -> Run:
    """Return the outcomes of one run of a suite; ``way`` is one of `WAYS` or `REAL`."""
    sources = environment.copy_sources(way)
    if way == "alias":
        for path in sources.rglob("*.py"):
            path.write_bytes(replace_name(path.read_bytes().decode("utf-8", "surrogateescape")))
    outcomes = environment.folder / f"{way}.jsonl"
    outcomes.unlink(missing_ok=True)
    arguments = (*_OPTIONS, f"--rootdir={sources}", *suite.options, *suite.tests)
    command = (str(environment.python), "-m", "pytest", *arguments)
    with (environment.folder / f"{way}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=sources,
            env=_make_variables(way, sources / suite.source, environment, ours, outcomes),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_SECONDS)
        finally:
            _end_session(process)
    return (
        parse(outcomes.read_text(encoding="utf-8").splitlines())
        if outcomes.exists()
        else Run(frozenset(), complete=False)
    )


def replace_name(source: str) -> bytes:
    """Return a source as it is after the documented `sed`: with asyncmetrics.prometheus_client in place of the name."""
    return _NAME.sub("asyncmetrics.prometheus_client", source).encode("utf-8", "surrogateescape")


def _make_variables(way: str, source: Path, environment: Environment, ours: Path, outcomes: Path) -> dict[str, str]:
    """Return the environment variables of a run: those of this process, without its settings of Python and pytest."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_LEFT_OUT)}
    paths = [_PLUGINS, source]
    if way not in REAL:
        paths.append(ours)
    if way == "path":
        paths.insert(0, _ask_path(environment, ours))
    return kept | {
        "ASYNCMETRICS_SUITES_OURS": str(ours),
        "ASYNCMETRICS_SUITES_OUTCOMES": str(outcomes),
        "ASYNCMETRICS_SUITES_WAY": way,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
    }


def _ask_path(environment: Environment, ours: Path) -> Path:
    """Return the folder that the command prints."""
    command = (environment.python, "-m", "asyncmetrics", "prometheus-client-path")
    variables = {**os.environ, "PYTHONPATH": str(ours)}
    done = subprocess.run(command, env=variables, cwd=environment.folder, check=True, capture_output=True, text=True)
    return Path(done.stdout.strip())


def _end_session(process: subprocess.Popen[bytes]) -> None:
    """End the run and what it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
