"""What each way to expose metrics imports: a program that only writes bytes or a file pays for no server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import asyncmetrics

# The package without its roof, which imports more.
PROGRAM = """
import importlib, sys, types
before = set(sys.modules)  # by what starts with each process, such as a measurement of coverage
roof = sys.modules["asyncmetrics"] = types.ModuleType("asyncmetrics")
roof.__path__ = [{path!r}]
importlib.import_module("asyncmetrics.{name}")
print(*({heavy!r} & sys.modules.keys() - before))
"""
HEAVY = {"anyio", "h11", "http.server", "urllib.request", "urllib.parse", "gzip"}


@pytest.mark.parametrize("name", ["exposition", "exposition.latest", "exposition.textfile", "bridges.pushgateway"])
def test_what_serves_nothing_imports_no_server_and_no_client(name):
    program = PROGRAM.format(path=str(Path(asyncmetrics.__file__).parent), name=name, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_name_that_the_package_does_not_have_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'make_rest_app'"):
        asyncmetrics.exposition.make_rest_app  # noqa: B018


def test_every_name_is_listed_before_it_is_used():
    assert set(asyncmetrics.exposition.__all__) <= set(dir(asyncmetrics.exposition))
