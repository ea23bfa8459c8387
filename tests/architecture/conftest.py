"""The package's modules as the architecture tests see them: names, trees and imports, nothing executed."""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = "asyncmetrics"
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Module:
    """One source file."""

    name: str
    path: Path
    tree: ast.Module
    lines: int

    @property
    def layer(self) -> str:
        """The first part below the package; the package itself is the roof."""
        return self.name.split(".")[1] if "." in self.name else "__init__"


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(tree: ast.Module, known: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            module = node.module or ""
            submodules = [f"{module}.{alias.name}" for alias in node.names if f"{module}.{alias.name}" in known]
            yield from submodules
            if len(submodules) < len(node.names):
                yield module


@pytest.fixture(scope="session")
def modules() -> dict[str, Module]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        found[_name(path)] = Module(_name(path), path, ast.parse(text), text.count("\n"))
    gc.collect()
    gc.freeze()  # a million objects that live until the end: 0.6 s a collection
    return found


@pytest.fixture(scope="session")
def graph(modules: dict[str, Module]) -> dict[str, set[str]]:
    """What each module imports of the package, type-only and deferred imports included."""
    return {
        name: {target for target in _imported(module.tree, set(modules)) if target.split(".")[0] == PACKAGE} - {name}
        for name, module in modules.items()
    }
