"""The commands of docs/migrating.md do what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.compatibility import PAGE

ROOT = PAGE.parents[1]
TEXT = PAGE.read_text(encoding="utf-8")
PROGRAM = """
import prometheus_client
import prometheus_client.core as core
from prometheus_client import Counter
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST

assert prometheus_client.Counter is Counter is core.Counter
print(Counter.__module__)
"""


def find_command(start: str, part: str = "") -> str:
    """Return the command of the page that begins so and has this part."""
    found = re.findall(rf"^(?:RUN )?({re.escape(start)}.*)$", TEXT, re.MULTILINE)
    (command,) = [command for command in found if part in command]
    return command


def run(command: str, folder: Path, **environment: str) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(not shutil.which("git") or sys.platform != "linux", reason="needs git and the sed of GNU")
def test_the_command_that_moves_a_program(tmp_path):
    (tmp_path / "shop.py").write_text(PROGRAM)
    run("git init -q . && git add .", tmp_path)
    for _ in range(2):  # it may run twice
        run(find_command("git grep"), tmp_path)
    assert run(f"{sys.executable} shop.py", tmp_path) == "asyncmetrics.prometheus_client.metrics"
    assert "asyncmetrics.asyncmetrics" not in (tmp_path / "shop.py").read_text()


def test_the_command_that_moves_all_that_a_program_starts(tmp_path):
    (tmp_path / "shop.py").write_text(PROGRAM)
    command = find_command("PYTHONPATH=$(", "uvicorn")
    started = command.replace("uvicorn shop:app --workers 4", f"{sys.executable} shop.py")
    assert started != command
    started = started.replace("prometheus-client-path)", f"prometheus-client-path):{ROOT}", 1)  # it is not installed
    assert run(started, tmp_path) == "asyncmetrics.prometheus_client.metrics"


def test_the_command_that_shows_whether_the_directory_is_found(tmp_path):
    command = find_command("PYTHONPATH=$(", "print").replace("python -c", f"{sys.executable} -c")
    command = command.replace("prometheus-client-path)", f"prometheus-client-path):{ROOT}", 1)  # it is not installed
    assert run(command, tmp_path) == "asyncmetrics.prometheus_client"


def test_the_link_that_has_a_fixed_name(tmp_path):
    (tmp_path / "shop.py").write_text(PROGRAM)
    link = tmp_path / "prometheus-client"
    run(find_command("ln -s").replace("/opt/prometheus-client", str(link)), tmp_path)
    path = os.pathsep.join([str(link), str(ROOT)])
    assert run(f"{sys.executable} shop.py", tmp_path, PYTHONPATH=path) == "asyncmetrics.prometheus_client.metrics"
