"""The command that an error gives for missing packages works in a clone, since it names the packages themselves."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from asyncmetrics.errors import EXTRAS, MissingExtraError

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no tomllib")
def test_the_table_of_extras_is_that_of_the_project():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {extra: list(requirements) for extra, requirements in EXTRAS.items()} == project["optional-dependencies"]


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_command_installs_the_packages_of_the_extra(extra):
    """A shell reads the requirements as they are, with the quotes of an environment marker."""
    message = str(MissingExtraError("this", "a package", extra))
    _, _, command = message.partition(": ")
    command, _, rest = command.partition(" (")
    assert shlex.split(command) == ["pip", "install", *EXTRAS[extra]]
    assert rest == f"what asyncmetrics-prometheus[{extra}] requires)"
