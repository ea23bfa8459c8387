"""The metrics of this library have none of the problems that it finds."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import asyncmetrics
from asyncmetrics.lint.linting import apply_rules
from asyncmetrics.lint.subjects import Others, Subject
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.kinds import KINDS
from tests.patience import PROGRAM_SECONDS
from tests.servers.requirements import require_packages

PROGRAM = Path(__file__).with_name("everything.py")


@pytest.mark.slow
@pytest.mark.parametrize("conventions", ["prometheus", "opentelemetry"])
def test_the_metrics_of_all_parts_are_clean(conventions):
    require_packages(("aiosqlite", "sqlalchemy"))
    done = subprocess.run(
        [sys.executable, str(PROGRAM), conventions],
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=True,
        cwd=PROGRAM.parents[2],
        env={"PYTHONPATH": str(PROGRAM.parents[2])},
    )
    found, names = json.loads(done.stdout)
    assert {(one["metric"], one["code"]) for one in found} == set()
    assert {"http_server_request_duration_seconds", "http_client_request_body_size_bytes", "queue_length"} <= set(names)


def _descriptors() -> list[Descriptor]:
    """Return those that modules hold: the self-metrics, which are exposed only when they have counted something."""
    package = Path(asyncmetrics.__file__).parent
    paths = [path for path in package.rglob("*.py") if re.search(r"^\w+ = Descriptor\(", path.read_text("utf-8"), re.M)]
    names = [".".join(path.relative_to(package.parent).with_suffix("").parts) for path in paths]
    values = [value for name in names for value in vars(importlib.import_module(name)).values()]
    return [value for value in values if isinstance(value, Descriptor)]


def test_the_metrics_about_the_library_itself_are_clean():
    subjects = [
        Subject(one.exposed_name, KINDS[one.kind].text_type, one.documentation, (), one.all_labelnames)
        for one in _descriptors()
    ]
    assert len(subjects) > 8
    assert [problem for subject in subjects for problem in apply_rules(subject, Others(subjects))] == []
