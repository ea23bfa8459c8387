"""The demo ends with one line, and no traceback, for settings that make no sense and for a reader that has enough."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from examples.demo.settings import read_port, read_seconds
from tests.patience import PROGRAM_SECONDS

ROOT = Path(__file__).parents[2]
DEMO = [sys.executable, "-m", "examples.demo"]


def _run(command: list[str] = DEMO, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": "/nowhere", **settings}  # without Prometheus
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False
    )


@pytest.mark.parametrize("value", ["abc", "-1", "nan", "1h"])
def test_seconds_that_are_none_are_refused(value, monkeypatch):
    monkeypatch.setenv("DEMO_SECONDS", value)
    with pytest.raises(SystemExit) as ending:
        read_seconds()
    assert str(ending.value) == f"DEMO_SECONDS={value}: expected a number of seconds, such as 20"


@pytest.mark.parametrize("value", ["abc", "-1", "1.5", "70000"])
def test_a_port_that_is_none_is_refused(value, monkeypatch):
    monkeypatch.setenv("DEMO_PORT", value)
    with pytest.raises(SystemExit) as ending:
        read_port()
    assert str(ending.value) == f"DEMO_PORT={value}: expected a port from 1 to 65535, or 0 for any that is free"


@pytest.mark.parametrize("name", ["DEMO_SECONDS", "DEMO_PORT"])
def test_a_setting_is_refused_in_one_line(name):
    done = _run(**{name: "abc"})
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)


def test_a_port_that_is_taken_is_named_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = _run(DEMO_PORT=str(port), DEMO_SECONDS="1")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert done.stderr.startswith(f"DEMO_PORT={port}: the shop cannot listen there: ")


def test_without_its_packages_it_says_what_installs_them():
    program = "import runpy, sys; sys.modules['rich'] = None; runpy.run_module('examples.demo', run_name='__main__')"
    done = _run([sys.executable, "-c", program])
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert "make demo" in done.stderr


@pytest.mark.parametrize("lines", [3, *(pytest.param(lines, marks=pytest.mark.slow) for lines in (1, 12))])
def test_it_ends_in_silence_if_its_reader_has_enough(lines):
    """As in ``make demo | head -3``: the reader closes the pipe after some lines, or in the middle of the tables."""
    environment = {**os.environ, "PATH": "/nowhere", "DEMO_SECONDS": "600"}
    with subprocess.Popen(
        DEMO, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        try:
            assert demo.stdout and demo.stderr
            for _ in range(lines):
                assert demo.stdout.readline()
            demo.stdout.close()
            errors = demo.stderr.read()
            assert (demo.wait(PROGRAM_SECONDS), errors) == (0, "")
        finally:
            demo.kill()
