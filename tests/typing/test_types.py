"""The typing programs pass mypy --strict and pyright, both of which take an ignore without an error for an error."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted(path.relative_to(ROOT).as_posix() for path in Path(__file__).parent.glob("[!t]*.py"))
CHECKERS = {"mypy": ["mypy", "--strict"], "pyright": ["pyright", "--pythonpath", sys.executable]}


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_callables_keep_their_types_and_wrong_calls_are_errors(checker: str) -> None:
    if find_spec(checker) is None:
        pytest.skip(f"{checker} comes with the lint group")
    command = [sys.executable, "-m", *CHECKERS[checker], *PROGRAMS]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_wrong_call_is_seen(checker: str, program: str, tmp_path: Path) -> None:
    """Without the ignores, there is an error at each of their lines."""
    if find_spec(checker) is None:
        pytest.skip(f"{checker} comes with the lint group")
    lines = (ROOT / program).read_text().splitlines()
    wrong = [number for number, line in enumerate(lines, 1) if "# type: ignore" in line]
    bare = tmp_path / Path(program).name
    bare.write_text("\n".join(line.partition("  # type: ignore")[0] for line in lines))
    command = [sys.executable, "-m", *CHECKERS[checker], str(bare)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert wrong
    assert [number for number in wrong if f"{bare.name}:{number}:" not in ended.stdout] == [], ended.stdout
