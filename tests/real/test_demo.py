"""The demo as a user runs it: it ends by itself or by Ctrl-C, says what to open, and leaves nothing behind."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.patience import PATIENCE_SECONDS, PROGRAM_SECONDS, wait_until

pytestmark = [pytest.mark.real, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "examples.demo"]
ROWS = (
    r"GET +│ /products/\{product_id\} +│ +\d+\.\d │",
    r"GET +│ /news +│ +0\.0 │ +· │",
    r"│ event loop +│ \d+% busy, lag p99 \d+ ms ",
    r"│ +│ \d+% blocked by examples\.demo\.shop:read_stock ",
    r"│ queue orders +│ length \d+, time in it p50 \d+ ms, p95 \d+ ms ",
    r"│ heartbeat worker +│ last beat \d+\.\d s ago ",
    r"│ job count_stock +│ last success \d+\.\d s ago ",
    r"│ streams +│ \d+ open, GET /news ",
    r"│ HTTP client bank +│ \d+\.\d calls/s, p50 \d+ ms, p95 \d+ ms ",
    r"│ database sqlite SELECT +│ \d+\.\d calls/s, p50 \d+ ms, p95 \d+ ms ",
)


def _environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in {"DEMO_SECONDS", "DEMO_PORT"}}
    return kept | {"COLUMNS": "120", "TERM": "xterm", "PYTHONUNBUFFERED": "1"} | more


def _refuses(url: str) -> bool:
    try:
        urlopen(url, timeout=PATIENCE_SECONDS).close()
    except OSError:
        return True
    return False


def _run(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        COMMAND, cwd=ROOT, env=_environment(**environment), capture_output=True, text=True, timeout=PROGRAM_SECONDS
    )


def test_it_ends_by_itself_with_a_last_table(tmp_path):
    """After four seconds; where a busy machine has served nothing by then, after more."""
    for seconds in ("4", "40", "400"):
        done = _run(DEMO_SECONDS=seconds, TMPDIR=str(tmp_path))
        absent = [row for row in ROWS if not re.search(row, done.stdout)]
        if not absent or done.returncode:
            break
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"http://127\.0\.0\.1:\d+/metrics$", done.stdout, re.MULTILINE)
    assert re.search(r"http://127\.0\.0\.1:\d+/metrics/live$", done.stdout, re.MULTILINE)
    assert absent == [], done.stdout
    assert "Prometheus: http://127.0.0.1:" in done.stdout or shutil.which("prometheus") is None
    assert list(tmp_path.iterdir()) == []


def test_without_prometheus_it_says_so_and_goes_on():
    done = _run(DEMO_SECONDS="1", PATH="/nowhere")
    assert (done.returncode, done.stderr) == (0, "")
    assert "no prometheus on the PATH" in done.stdout


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(ending):
    with subprocess.Popen(
        COMMAND, cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        found = next(filter(None, map(re.compile(r"http://\S+/metrics\b").search, demo.stdout)), None)
        assert found
        wait_until(lambda: b'route="/products/' in urlopen(found[0], timeout=PATIENCE_SECONDS).read())
        assert b"<html" in urlopen(f"{found[0]}/live", timeout=PATIENCE_SECONDS).read()
        demo.send_signal(ending)
        out, error = demo.communicate(timeout=PATIENCE_SECONDS)
    assert (demo.returncode, error) == (0, "")
    assert "Traceback" not in out
    assert _refuses(found[0])


def _screen(terminal: int, until: str) -> str:
    text = ""
    while until not in text and select.select([terminal], [], [], PATIENCE_SECONDS)[0]:
        try:
            text += os.read(terminal, 65536).decode(errors="replace")
        except OSError:  # the other end is closed: all is read
            break
    return text


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_ctrl_c_on_a_terminal_ends_make_with_success():
    """Through make, on a pseudo-terminal, by the key itself."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(ROOT)
        recipe = f".PHONY: demo\ndemo:\n\t@{' '.join(COMMAND)}\n"
        os.execvpe("sh", ["sh", "-c", 'printf "$0" | exec make -f - demo', recipe], _environment())
    try:
        screen = _screen(terminal, "/products/{product_id}")
        found = re.search(r"http://\S+/metrics", screen)
        os.write(terminal, b"\x03")
        screen += _screen(terminal, "\0")
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        os.close(terminal)
    assert status == 0, screen
    assert "Traceback" not in screen
    assert "Interrupt" not in screen
    assert found and _refuses(found[0])
