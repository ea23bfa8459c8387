"""Integrations are written with public names only, so that an integration outside of the package can be as well."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import asyncmetrics.integrations

PUBLIC = {
    "asyncmetrics.bridges",
    "asyncmetrics.bridges.push.sink",
    "asyncmetrics.context.exemplars",
    "asyncmetrics.errors",
    "asyncmetrics.exposition",
    "asyncmetrics.exposition.live.serving",
    "asyncmetrics.interruptions",
    "asyncmetrics.metrics",
    "asyncmetrics.metrics.calls",
    "asyncmetrics.metrics.pools",
    "asyncmetrics.middleware",
    "asyncmetrics.middleware.applications",
    "asyncmetrics.middleware.options",
    "asyncmetrics.middleware.routes.table",
    "asyncmetrics.middleware.scope",
    "asyncmetrics.model.checks",
    "asyncmetrics.model.http_values",
    "asyncmetrics.model.names",
    "asyncmetrics.patching",
    "asyncmetrics.registry",
    "asyncmetrics.registry.self_metrics",
    "asyncmetrics.runtime",
    "asyncmetrics.timing",
    "asyncmetrics.typing",
    "asyncmetrics.wrapping",
}
FILES = sorted(Path(asyncmetrics.integrations.__file__).parent.glob("*.py"))


def imported(path: Path) -> set[tuple[str, str]]:
    """Each name with the module that it is imported from."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)]
    return {(node.module or "", name.name) for node in nodes for name in node.names}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_integration_imports_public_names_only(path):
    ours = {one for one in imported(path) if one[0].startswith("asyncmetrics") and ".integrations" not in one[0]}
    assert {module for module, _ in ours} - PUBLIC == set()
    assert {name for _, name in ours if name.startswith("_")} == set()
