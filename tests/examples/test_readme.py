"""The README is true: its program is the quick start, its code runs, its commands and its links exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from asyncmetrics import CollectorRegistry, start_http_server
from tests.patience import PROGRAM_SECONDS

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Each program, with the text that the README shows below it and says that it prints.
PRINTED = re.findall(r"^```python\n([^`]*?)^```\n\n[^`]*:\n\n```text\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
LINKS = re.findall(r"\]\(([^)]+)\)|^\[[^\]]+\]: (\S+)$", README, re.MULTILINE)
LINKS = [inline or reference for inline, reference in LINKS]
PROGRAMS = [code for language, code in BLOCKS if language == "python"]


def read_project() -> dict:
    if sys.version_info < (3, 11):
        pytest.skip("Python 3.10 has no tomllib")
    import tomllib

    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


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


SHOP = """
from fastapi import FastAPI
from asyncmetrics import Counter, instrument

app = instrument(FastAPI())
orders = Counter("shop_orders_total", "Orders looked at.", ["kind"])
"""


def list_commands() -> list[str]:
    lines = [line for language, code in BLOCKS if language == "sh" for line in code.splitlines()]
    return [line.split("  #")[0].strip() for line in lines if line.startswith("asyncmetrics ")]


@pytest.mark.parametrize("command", list_commands())
def test_its_commands_of_asyncmetrics_end_well(command, tmp_path):
    (tmp_path / "shop.py").write_text(SHOP)
    registry = CollectorRegistry()
    with start_http_server(0, registry=registry) as server:
        arguments = command.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}").removeprefix("asyncmetrics ")
        line = f"{sys.executable} -W error -m asyncmetrics {arguments}"
        done = subprocess.run(
            line, shell=True, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=PROGRAM_SECONDS
        )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_make_target_it_names_exists():
    rules = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`(?:[A-Z_]+=\d+ )?make ([a-z]+)", README)) - rules == set()


def test_every_link_is_absolute():
    """The package index shows the README too, and has none of the files."""
    assert [link for link in LINKS if "://" not in link] == []


def test_every_reference_is_defined():
    used = re.findall(r"\]\[([^\]]+)\]", re.sub(r"^```.*?^```", "", README, flags=re.DOTALL | re.MULTILINE))
    defined = re.findall(r"^\[([^\]]+)\]: ", README, re.MULTILINE)
    assert used
    assert set(used) == set(defined)


def test_every_file_it_links_exists():
    repository = read_project()["urls"]["Repository"]
    raw = repository.replace("https://github.com", "https://raw.githubusercontent.com")
    prefix = rf"(?:{re.escape(repository)}/(?:blob|tree)|{re.escape(raw)})/main/"
    files = [found[1] for link in LINKS if (found := re.match(rf"{prefix}([^#]+)", link))]
    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_the_extras_it_names_are_those_of_the_project():
    project = read_project()
    named = set(re.findall(r"asyncmetrics-prometheus\[([\w,-]+)\]", README))
    assert set(",".join(named).split(",")) == project["optional-dependencies"].keys()


def test_every_name_of_the_package_in_it_exists():
    import asyncmetrics

    names = set(re.findall(r"\basyncmetrics\.(\w+)\(", README))
    assert [name for name in names if not hasattr(asyncmetrics, name)] == []
