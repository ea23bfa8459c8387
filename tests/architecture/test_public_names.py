"""`__all__` is a complete tuple: each name in it exists, and each public name is in it."""

from __future__ import annotations

import ast
import importlib
import os
import types

import pytest

from asyncmetrics.errors import MissingExtraError

NAMING = (ast.ImportFrom, ast.Import, ast.Assign, ast.AnnAssign, ast.ClassDef, ast.FunctionDef)
OPTIONAL = {"asyncmetrics.__main__"}  # running it is what importing it does


def _is_public(name: str, module) -> bool:
    """A package that holds a docstring only is a folder, not a module with names."""
    hidden = any(part.startswith("_") for part in name.split(".")[1:])
    return not hidden and name not in OPTIONAL and any(isinstance(node, NAMING) for node in module.tree.body[2:])


@pytest.fixture(scope="module")
def public(modules):
    """The public modules; without its framework an integration cannot be imported, and is left out."""
    imported = {name: _imported(name) for name, module in modules.items() if _is_public(name, module)}
    return {name: module for name, module in imported.items() if module is not None}


def _imported(name: str) -> types.ModuleType | None:
    try:
        return importlib.import_module(name)
    except MissingExtraError:
        if os.environ.get("ASYNCMETRICS_REQUIRE_SERVERS") == "1":
            raise
        return None


def _own(module: types.ModuleType) -> set[str]:
    """The public classes and functions that the module itself defines."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and isinstance(value, (type, types.FunctionType))
        and value.__module__ == module.__name__
    }


def test_every_public_module_has_a_tuple_of_names(public):
    assert [name for name, module in public.items() if not isinstance(getattr(module, "__all__", None), tuple)] == []


def test_no_name_is_listed_twice(public):
    assert [name for name, module in public.items() if len(set(module.__all__)) != len(module.__all__)] == []


def test_every_listed_name_exists(public):
    missing = {
        f"{name}.{item}" for name, module in public.items() for item in module.__all__ if not hasattr(module, item)
    }
    assert missing == set()


def test_every_public_class_and_function_of_the_roof_and_its_facade_is_listed(public):
    """The two modules that users import from list all that they hold, imported or their own."""
    for name in ("asyncmetrics", "asyncmetrics.core"):
        held = {
            item
            for item, value in vars(public[name]).items()
            if not item.startswith("_") and isinstance(value, (type, types.FunctionType))
        }
        assert held - set(public[name].__all__) == set()


def test_every_class_and_function_that_a_public_module_exports_is_one_it_holds(public):
    unlisted = {f"{name}.{item}" for name, module in public.items() for item in _own(module) - set(module.__all__)}
    assert {full for full in unlisted if not _is_plumbing(full)} == set()


def _is_plumbing(full: str) -> bool:
    """A protocol that types a parameter, or a function whose docstring says that users do not call it."""
    module, _, item = full.rpartition(".")
    value = getattr(importlib.import_module(module), item)
    return getattr(value, "_is_protocol", False) or (value.__doc__ or "").startswith("Internal: ")


def test_the_roof_exports_what_moving_over_needs(public):
    names = set(public["asyncmetrics"].__all__)
    theirs = {
        "Counter", "Gauge", "Summary", "Histogram", "Info", "Enum", "CollectorRegistry", "REGISTRY", "generate_latest",
        "make_asgi_app", "make_wsgi_app", "start_http_server", "write_to_textfile", "disable_created_metrics",
        "enable_created_metrics", "CONTENT_TYPE_LATEST",
    }  # fmt: skip
    ours = {
        "MetricsMiddleware", "instrument", "CallMetrics", "bound_labels", "bind_labels", "reset_labels",
        "unbind_labels", "clear_labels", "get_labels", "linear_buckets", "exponential_buckets", "Registry",
    }  # fmt: skip
    assert (theirs | ours) - names == set()
