"""The API reference shows what a program can call, with the arguments that the class really takes."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import asyncmetrics

griffe = pytest.importorskip("griffe", reason="the group docs is not installed")
ROOT = Path(__file__).parents[2]
KINDS = ("Counter", "Gauge", "Histogram", "Summary", "Info", "Enum")
OPERATIONS = {
    "Counter": {"inc", "reset", "count_exceptions"},
    "Gauge": {"inc", "dec", "set", "set_function", "set_to_current_time", "track_inprogress", "time", "collect_from"},
    "Histogram": {"observe", "time"},
    "Summary": {"observe", "time"},
    "Info": {"info"},
    "Enum": {"state"},
}


@pytest.fixture(scope="module")
def package():
    extensions = griffe.load_extensions(ROOT / "docs/metric_classes.py", ROOT / "docs/docstrings.py")
    return griffe.load("asyncmetrics", search_paths=[ROOT], extensions=extensions)


@pytest.mark.parametrize("kind", KINDS)
def test_a_metric_has_the_methods_that_programs_call(package, kind):
    shown = set(package[f"metrics.{kind.lower()}.{kind}"].members)
    assert OPERATIONS[kind] | {"labels", "remove", "remove_by_labels", "clear", "label_values"} <= shown
    assert {
        name for name in shown if not name.startswith("_") and not hasattr(getattr(asyncmetrics, kind), name)
    } == set()


@pytest.mark.parametrize("kind", KINDS)
def test_a_metric_has_the_arguments_that_it_takes(package, kind):
    shown = package[f"metrics.{kind.lower()}.{kind}"].members["__init__"].parameters
    taken = inspect.signature(getattr(asyncmetrics, kind)).parameters
    assert {one.name for one in shown} - {"self"} == set(taken)


def test_a_method_has_the_docstring_that_explains_it(package):
    text = package["metrics.counter.Counter"].members["inc"].docstring.value
    assert "finite and not negative" in text


def test_a_name_in_a_docstring_is_a_link(package):
    text = package["metrics.counter.Counter"].members["inc"].docstring.value
    assert '<autoref optional identifier="asyncmetrics.errors.AmountError"><code>AmountError</code></autoref>' in text


def test_code_in_a_docstring_stays_as_it_is(package):
    text = package["metrics.counter.Counter"].docstring.value
    assert "```pycon\n>>> from asyncmetrics import CollectorRegistry, Counter\n" in text
