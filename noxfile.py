"""Run tests with the oldest, a middle and the newest supported frameworks: `make matrix`, or `nox -s oldest`.

Only the tests that use frameworks or clients run. The last session makes one table of what they assert, with a row for
each edge case and a column for each framework and version, and prints it: `build/edges.md`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"

# The requirements of each session in addition to the test group. The newest versions are those that pip finds.
VERSIONS = {
    "oldest": [
        *("starlette==0.41.*", "fastapi==0.115.*", "litestar==2.13.*", "django==4.2.*", "quart==0.19.*"),
        *("sqlalchemy==2.0.*", "asyncpg==0.29.*", "psycopg[binary]==3.1.*", "psycopg-pool==3.2.*", "redis==5.0.*"),
        *("aiosqlite==0.20.*", "urllib3==2.0.*", "requests==2.31.*", "structlog==24.*", "loguru==0.7.*"),
    ],
    "middle": ["starlette==1.3.*", "fastapi==0.141.*"],
    "newest": ["starlette", "fastapi", "litestar", "django", "quart"],
}
FOLDERS = ("tests/middleware", "tests/integrations", "tests/real/clients")


def _run_tests(session: nox.Session, requirements: list[str]) -> None:
    session.install("--upgrade", "pip>=25.1")  # dependency groups
    session.install("--upgrade", "--editable", ".", "--group", "test", *requirements)
    report = _make_report_path(session.name)
    report.unlink(missing_ok=True)  # so that the table has no results of an earlier run
    options = ("-q", "-p", "no:cacheprovider", f"--junit-xml={report}")
    session.run("python", "-m", "pytest", *options, *FOLDERS, *session.posargs)


def _make_report_path(name: str) -> Path:
    return Path("build/edges", name).with_suffix(".xml")


@nox.session
def oldest(session: nox.Session) -> None:
    """Test with the oldest versions that the extras allow."""
    _run_tests(session, VERSIONS["oldest"])


@nox.session
def middle(session: nox.Session) -> None:
    """Test with versions that have the router's new internals (FastAPI 0.137) under the old names."""
    _run_tests(session, VERSIONS["middle"])


@nox.session
def newest(session: nox.Session) -> None:
    """Test with the newest versions."""
    _run_tests(session, VERSIONS["newest"])


@nox.session(venv_backend="none")
def table(session: nox.Session) -> None:
    """Make the table of edge cases from the reports of the sessions that have run."""
    reports = [str(report) for name in VERSIONS if (report := _make_report_path(name)).exists()]
    session.run(sys.executable, "tests/edges.py", "build/edges.md", *reports)
