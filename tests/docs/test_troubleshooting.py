"""The page on troubleshooting has a heading, and so an anchor, for each log message and each exception."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncmetrics.errors import MetricsError

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
LEVELS = {"info", "warning", "error", "exception", "critical"}
SHORTEST = 12  # characters: a shorter beginning fits too many messages


def _read_headings(section: str) -> list[str]:
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    return re.findall(r"^#+ `(.*)`$", text, re.M)


def _find_calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls that log, or that warn of a name of the past; other warnings have a page of their category."""
    for node in ast.walk(tree):
        # To unparse takes long: only a call whose name is one of these.
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {*LEVELS, "warn"}:
            owner, name = ast.unparse(node.func.value), node.func.attr
            is_old = (owner, name) == ("warnings", "warn") and ast.unparse(node.args[1]) == "DeprecationWarning"
            if is_old or (owner == "_log" and name in LEVELS):
                yield node


def _find_text(node: ast.expr, function: ast.AST) -> str:
    """Return the text of an argument: a literal, or a name that the function assigns one to."""
    if isinstance(node, ast.Name):
        assigned = [found for found in ast.walk(function) if isinstance(found, ast.Assign)]
        (node,) = [found.value for found in assigned if ast.unparse(found.targets[0]) == node.id]
    assert isinstance(node, ast.Constant), f"a log message has to be a literal: {ast.unparse(node)}"
    return str(node.value)


def _parse_package(*words: str) -> list[ast.Module]:
    """Return the trees of the modules with one of these words."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "asyncmetrics").rglob("*.py"))]
    return [ast.parse(text) for text in texts if any(word in text for word in words)]


def _list_messages() -> list[str]:
    """Return the messages of the package, with … for their arguments."""
    messages = set()
    for tree in _parse_package("_log.", "DeprecationWarning"):
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        for function in functions:
            for call in _find_calls(function):
                text = _find_text(call.args[0], function)
                messages.add(re.sub(r"%[.\d]*[sdrf](?:[. ]%[sdr])*", "…", text))  # also '%s %s' and '%s.%s'
    return sorted(messages)


def _begins(message: str, heading: str) -> bool:
    """Return whether the message begins with the heading, whatever logs it and whatever its arguments are."""
    return re.sub(r"^(?:…|instrument\(…\)|RuntimeMonitor)[: ]+", "", message).startswith(heading)


MESSAGES = _list_messages()
HEADINGS = _read_headings("Log messages")


@pytest.mark.parametrize("message", MESSAGES)
def test_a_log_message_has_a_heading(message):
    assert len([heading for heading in HEADINGS if _begins(message, heading)]) == 1


@pytest.mark.parametrize("heading", HEADINGS)
def test_a_heading_is_the_beginning_of_a_log_message(heading):
    assert len(heading) >= SHORTEST
    assert [message for message in MESSAGES if _begins(message, heading)] != []


def _list_errors() -> set[str]:
    """Return the names of MetricsError and of what derives from it, also in modules that cannot be imported here."""
    trees = _parse_package("class ")
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    bases = {found.name: {ast.unparse(base).rpartition(".")[2] for base in found.bases} for found in classes}
    errors, before = {MetricsError.__name__}, set()
    while errors != before:
        before = errors
        errors = errors | {name for name in bases if bases[name] & errors}
    return errors


def test_every_exception_has_a_heading_and_every_heading_is_an_exception():
    headings = _read_headings("Exceptions")
    assert sorted(headings) == sorted(set(headings))
    assert set(headings) == _list_errors()
