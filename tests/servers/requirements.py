"""What tests on real servers need: a missing part skips them, or fails them if ASYNCMETRICS_REQUIRE_SERVERS is 1."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from importlib.util import find_spec

import pytest

__all__ = ("REQUIRE_SERVERS", "find_program", "report_missing", "require_packages")

REQUIRE_SERVERS = os.environ.get("ASYNCMETRICS_REQUIRE_SERVERS") == "1"


def find_program(name: str) -> str:
    """Return the path of a program."""
    path = shutil.which(name)
    if path is None:
        report_missing(f"{name} is not on the PATH")
    return path


def require_packages(names: Iterable[str]) -> None:
    """End the test here unless all packages are installed."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        report_missing(f"not installed: {', '.join(missing)}")


def report_missing(what: str) -> None:
    """End the test: skip it, or fail it where all servers are required."""
    if REQUIRE_SERVERS:
        pytest.fail(f"{what}, and ASYNCMETRICS_REQUIRE_SERVERS is 1")
    pytest.skip(what)
