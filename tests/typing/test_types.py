"""The typing programs pass mypy --strict and pyright, both of which take an ignore without an error for an error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("types")]  # mypy has one cache

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted(path.relative_to(ROOT).as_posix() for path in Path(__file__).parent.glob("[!t]*.py"))
CHECKERS = {"mypy": ["mypy", "--strict"], "pyright": ["pyright", "--pythonpath", sys.executable]}


def check(checker: str, *programs: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *CHECKERS[checker], *programs]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("checker", CHECKERS)
def test_callables_keep_their_types_and_wrong_calls_are_errors(checker: str) -> None:
    ended = check(checker, *PROGRAMS)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("checker", CHECKERS)
def test_every_wrong_call_is_an_error(checker: str, tmp_path: Path) -> None:
    """Without the ignores, there is an error at each of their lines."""
    wrong, bare = [], []
    for program in PROGRAMS:
        lines = (ROOT / program).read_text(encoding="utf-8").splitlines()
        name = Path(program).name
        numbers = [number for number, line in enumerate(lines, 1) if "# type: ignore" in line]
        assert numbers, f"{program} has no wrong call"
        wrong += [f"{name}:{number}:" for number in numbers]
        bare.append(tmp_path / name)
        text = "\n".join(line.partition("  # type: ignore")[0] for line in lines)
        bare[-1].write_text(text, encoding="utf-8")
    ended = check(checker, *map(str, bare))
    assert [place for place in wrong if place not in ended.stdout] == [], ended.stdout
