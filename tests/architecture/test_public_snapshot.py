"""Every name in an ``__all__`` stands in public_names.txt, so that none appears, moves or goes without a decision.

The names on the pages of docs/reference are promised; the others may move, but not unnoticed.

``python -m tests.architecture.test_public_snapshot`` rewrites the file. CHANGELOG.md lists what a change moved.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import asyncmetrics
from asyncmetrics.errors import MissingExtraError

SNAPSHOT = Path(__file__).with_name("public_names.txt")
RUNS = {"asyncmetrics.__main__"}  # importing it runs it


def _modules() -> list[str]:
    found = (module.name for module in pkgutil.walk_packages(asyncmetrics.__path__, "asyncmetrics."))
    return ["asyncmetrics", *sorted(name for name in found if name not in RUNS and "._" not in name)]


def _names(module: str) -> list[str] | None:
    """Return what a module offers, or None for an integration whose framework is not installed."""
    try:
        return [f"{module}.{name}" for name in sorted(getattr(importlib.import_module(module), "__all__", ()))]
    except MissingExtraError:
        return None


def test_the_public_names_are_those_of_the_snapshot():
    listed = SNAPSHOT.read_text(encoding="utf-8").split()
    for module in _modules():
        names = _names(module)
        known = [name for name in listed if name.rpartition(".")[0] == module]
        assert names is None or names == known, f"{module}: see the docstring of this file"


def test_the_snapshot_names_no_module_that_is_gone():
    listed = {name.rpartition(".")[0] for name in SNAPSHOT.read_text(encoding="utf-8").split()}
    assert listed - set(_modules()) == set()


if __name__ == "__main__":
    everything = [name for module in _modules() for name in _names(module) or ()]
    SNAPSHOT.write_text("\n".join([*everything, ""]), encoding="utf-8")
