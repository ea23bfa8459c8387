"""The oldest, a middle and the newest Starlette and FastAPI that we vouch for: `make matrix`, or `nox -s oldest`.

Only the tests that touch frameworks run; everything else is the same on all of them. The last session puts what they
assert into one table, edges by frameworks and versions, and prints it: `build/edges.md`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"

# The requirements that a session puts on top of the test group. The newest are whatever pip finds.
VERSIONS = {
    "oldest": ["starlette==0.41.*", "fastapi==0.115.*", "litestar==2.13.*", "django==4.2.*", "quart==0.19.*"],
    "middle": ["starlette==1.3.*", "fastapi==0.141.*"],
    "newest": ["starlette", "fastapi", "litestar", "django", "quart"],
}
FOLDERS = ("tests/middleware", "tests/integrations")


def _run(session: nox.Session, requirements: list[str]) -> None:
    session.install("--upgrade", "pip>=25.1")  # dependency groups
    session.install("--upgrade", "--editable", ".", "--group", "test", *requirements)
    report = _report(session.name)
    report.unlink(missing_ok=True)  # the table is of what has run
    options = ("-q", "-p", "no:cacheprovider", f"--junit-xml={report}")
    session.run("python", "-m", "pytest", *options, *FOLDERS, *session.posargs)


def _report(name: str) -> Path:
    return Path("build/edges", name).with_suffix(".xml")


@nox.session
def oldest(session: nox.Session) -> None:
    """Run on the oldest versions that the extras allow."""
    _run(session, VERSIONS["oldest"])


@nox.session
def middle(session: nox.Session) -> None:
    """Run on those that moved the router's insides (FastAPI 0.137) and kept the names of old."""
    _run(session, VERSIONS["middle"])


@nox.session
def newest(session: nox.Session) -> None:
    """Run on the newest there are."""
    _run(session, VERSIONS["newest"])


@nox.session(venv_backend="none")
def table(session: nox.Session) -> None:
    """Make the table of edges from the reports of the sessions that have run."""
    reports = [str(report) for name in VERSIONS if (report := _report(name)).exists()]
    session.run(sys.executable, "tests/edges.py", "build/edges.md", *reports)
