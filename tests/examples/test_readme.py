"""The README is true: its program is the quick start, its code runs, its commands and its links exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PROGRAM_SECONDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Each program, with the text that the README shows below it and says that it prints.
PRINTED = re.findall(r"^```python\n([^`]*?)^```\n\n[^`]*:\n\n```text\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
PROGRAMS = [code for language, code in BLOCKS if language == "python"]


def test_its_first_program_is_the_quick_start():
    assert PROGRAMS[0] == (ROOT / "examples/quickstart.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", PROGRAMS[1:], ids=lambda code: code.strip().splitlines()[-1][:30])
def test_its_other_code_runs(code):
    """And shows something: exactly what the README says."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False
    )
    assert (done.returncode, "Traceback" in done.stderr, "Warning" in done.stderr) == (0, False, False), done.stderr
    assert done.stdout == dict(PRINTED)[code]


def test_its_commands_are_the_two_that_a_newcomer_types():
    commands = [
        line for language, code in BLOCKS if language == "sh" for line in code.splitlines() if line.startswith("make ")
    ]
    assert [command.split("#")[0].strip() for command in commands] == ["make demo", "make test"]


def test_every_make_target_it_names_exists():
    rules = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`(?:[A-Z_]+=\d+ )?make ([a-z]+)", README)) - rules == set()


def test_every_file_it_links_exists():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no tomllib")
def test_the_extras_it_names_are_those_of_the_project():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = set(re.findall(r"asyncmetrics-prometheus\[([\w,-]+)\]", README))
    assert set(",".join(named).split(",")) == project["optional-dependencies"].keys()


def test_every_name_of_the_package_in_it_exists():
    import asyncmetrics

    names = set(re.findall(r"\basyncmetrics\.(\w+)\(", README))
    assert [name for name in names if not hasattr(asyncmetrics, name)] == []
