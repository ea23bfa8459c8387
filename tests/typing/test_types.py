"""The typing programs pass a strict mypy, whose unused ignores are errors: each wrong call in them is one."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(find_spec("mypy") is None, reason="mypy comes with the lint group")
@pytest.mark.slow
def test_decorated_callables_keep_their_types_and_wrong_calls_are_errors() -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "tests/typing/decorators.py"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
