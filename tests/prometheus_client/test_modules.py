"""Every module and every public name of prometheus_client 0.26 that the package has, under the same path."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import prometheus_client
import pytest

import asyncmetrics
from asyncmetrics import prometheus_client as ours

MISSING_MODULES = {"mmap_dict": "the files of their multiprocess mode"}
MISSING_NAMES = {
    "decorator": {"*"},  # a copy of another library; `decorate` and `getargspec` are there
    "values": {"MmapedDict", "mmap_key", "close_all_multiprocess_files"},
    "multiprocess": {"MmapedDict"},
    "openmetrics.parser": {"*"},  # details of the parsers
    "parser": {"ESCAPE_SEQUENCES", "HELP_ESCAPING_RE", "parse_labels", "replace_escape_sequence"},
}


def list_modules() -> list[str]:
    """Return the names of prometheus_client's modules, without that of the package."""
    found = pkgutil.walk_packages(prometheus_client.__path__, "prometheus_client.")
    return [module.name.removeprefix("prometheus_client.") for module in found]


def list_names(module: ModuleType) -> set[str]:
    """Return the public functions, classes and constants of prometheus_client that a module of it has.

    Programs also import from modules that only use a name, such as ``prometheus_client.parser.Sample``.
    """
    names = getattr(module, "__all__", None)
    if names is not None:
        return set(names)
    values = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    return {
        name
        for name, value in values.items()
        if getattr(value, "__module__", module.__name__).startswith("prometheus_client")
        and not isinstance(value, (ModuleType, re.Pattern, TypeVar))
        and name not in {"TYPE_CHECKING", "maxunicode"}
    }


@pytest.mark.parametrize("name", sorted(set(list_modules()) - set(MISSING_MODULES)))
def test_module_has_the_names(name: str) -> None:
    """The module exists, with all names that theirs defines."""
    theirs = importlib.import_module(f"prometheus_client.{name}")
    left_out = MISSING_NAMES.get(name, set())
    wanted = set() if "*" in left_out else list_names(theirs) - left_out
    assert wanted <= set(dir(importlib.import_module(f"asyncmetrics.prometheus_client.{name}")))


@pytest.mark.parametrize(
    "name", ["F", "T", "_build_full_name", "_get_use_created", "_use_created", "_validate_exemplar"]
)
@pytest.mark.parametrize("package", [prometheus_client, ours])
def test_metrics_has_the_names_that_programs_import_all_the_same(package: ModuleType, name: str) -> None:
    """Type variables and private functions, for classes and functions that wrap metrics."""
    assert hasattr(importlib.import_module(f"{package.__name__}.metrics"), name)


@pytest.mark.parametrize("package", [prometheus_client, ours])
def test_checks_of_names_that_programs_import_from_metrics(package: ModuleType) -> None:
    """`_validate_labelnames`, `_validate_metric_name` and `_validate_exemplar`."""
    module: Any = importlib.import_module(f"{package.__name__}.metrics")
    assert module._validate_labelnames(module.Counter, ["kind"]) == ("kind",)
    with pytest.raises(ValueError):  # noqa: PT011  # each library has its words
        module._validate_labelnames(module.Histogram, ["le"])
    module._validate_metric_name("jobs")
    with pytest.raises(ValueError):  # noqa: PT011
        module._validate_metric_name("")
    module._validate_exemplar({"trace_id": "1"})
    with pytest.raises(ValueError):  # noqa: PT011
        module._validate_exemplar({"trace_id": "1" * 200})


def test_the_package_has_the_names() -> None:
    """The package itself has every name of their ``__all__``, and the submodules that its import loads."""
    assert set(prometheus_client.__all__) <= set(ours.__all__)
    program = "import prometheus_client as p; print(*(n for n, v in vars(p).items() if type(v) is type(p)))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) - {"mmap_dict"} <= set(dir(ours))


def test_default_registry_is_one() -> None:
    """The default registry of the package is that of asyncmetrics, the same object."""
    assert ours.REGISTRY is asyncmetrics.REGISTRY


def test_sed_is_all_there_is_to_do(tmp_path: Path) -> None:
    """A program with every import that programs have works after the replacement of one word."""
    program = """
import prometheus_client
import prometheus_client as prom
import prometheus_client.core, prometheus_client.parser as parser
from prometheus_client import Counter, Gauge, REGISTRY, start_http_server, multiprocess
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
prometheus_client.Counter("jobs_total", "Jobs.").inc()
assert b"jobs_total 1.0" in generate_latest(REGISTRY)
print(prom.__name__, prometheus_client.core.Counter is Counter)
"""
    script = tmp_path / "program.py"
    script.write_text(program.replace("prometheus_client", "asyncmetrics.prometheus_client"))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert done.stdout == "asyncmetrics.prometheus_client True\n"
