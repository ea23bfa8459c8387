"""Every example in a docstring does what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import asyncmetrics

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(asyncmetrics.__path__, "asyncmetrics.")
    if "integrations." not in module.name and not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.blocking
def test_the_examples_of(name):
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert failed == 0


def test_there_are_examples_of_every_metric():
    finder = doctest.DocTestFinder()
    found = sum(len(test.examples) for name in MODULES for test in finder.find(importlib.import_module(name)))
    assert found > 40
