"""A name that begins with an underscore stays in its package: no other package imports it."""

from __future__ import annotations

import ast

import pytest


def _package(name: str, is_package: bool) -> str:
    """The folder that a module stands in, which for a package is the package itself."""
    return name if is_package else name.rpartition(".")[0]


def _private_imports(tree: ast.Module, importer: str) -> list[str]:
    """Return the imports in ``tree`` of a private module or name that is not below the importer's own package."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "asyncmetrics":
            paths = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            paths = [alias.name for alias in node.names if alias.name.split(".")[0] == "asyncmetrics"]
        else:
            continue
        for path in paths:
            parts = path.split(".")
            private = next(
                (index for index, part in enumerate(parts) if part.startswith("_") and not part.endswith("__")), None
            )
            if private is not None and ".".join(parts[:private]) not in {importer, *_parents(importer)}:
                found.append(path)
    return found


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(2, len(parts))]


def test_no_package_imports_a_private_name_of_another(modules):
    found = {
        name: private
        for name, module in modules.items()
        if (private := _private_imports(module.tree, _package(name, module.path.name == "__init__.py")))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("source", "importer", "found"),
    [
        ("from asyncmetrics.metrics._base import MetricBase", "asyncmetrics.metrics", []),
        ("from asyncmetrics.metrics._base import MetricBase", "asyncmetrics.metrics.deeper", []),
        (
            "from asyncmetrics.metrics._base import MetricBase",
            "asyncmetrics.middleware",
            ["asyncmetrics.metrics._base.MetricBase"],
        ),
        ("from asyncmetrics.context import _BOUND", "asyncmetrics.metrics", ["asyncmetrics.context._BOUND"]),
        ("import asyncmetrics.metrics._base", "asyncmetrics.middleware", ["asyncmetrics.metrics._base"]),
        ("from asyncmetrics.context import bind_labels", "asyncmetrics.metrics", []),
    ],
)
def test_a_private_import_is_found(source, importer, found):
    assert _private_imports(ast.parse(source), importer) == found
