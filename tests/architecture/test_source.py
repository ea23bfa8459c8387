"""What every source file keeps to: its size, its docstring, its functions' size, its words."""

from __future__ import annotations

import ast
import re
import statistics

import pytest

MAX_FILE_LINES = 400
MAX_MEDIAN_FILE_LINES = 150
MAX_FUNCTION_LINES = 50


def _functions(tree: ast.Module):
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            documented = ast.get_docstring(node) is not None
            doc = node.body[0].end_lineno - node.body[0].lineno + 1 if documented else 0
            yield node.name, node.end_lineno - node.lineno + 1 - doc


def test_no_file_is_longer_than_400_lines(modules):
    assert {name: module.lines for name, module in modules.items() if module.lines > MAX_FILE_LINES} == {}


def test_the_median_file_is_short(modules):
    assert statistics.median(module.lines for module in modules.values()) <= MAX_MEDIAN_FILE_LINES


def test_no_function_is_longer_than_50_lines(modules):
    found = {
        f"{module.name}.{name}": lines
        for module in modules.values()
        for name, lines in _functions(module.tree)
        if lines > MAX_FUNCTION_LINES
    }
    assert found == {}


def test_every_module_says_what_it_is_for(modules):
    assert [name for name, module in modules.items() if not ast.get_docstring(module.tree)] == []


def test_nothing_is_left_to_do(modules):
    marks = re.compile(r"\b(TODO|FIXME|XXX)\b")
    assert [name for name, module in modules.items() if marks.search(module.path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("name", ["print", "breakpoint"])
def test_the_library_prints_nothing(modules, name):
    """Only the command line (`python -m asyncmetrics`) may write to standard output by itself."""
    found = [
        module.name
        for module in modules.values()
        if module.layer != "__main__"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    ]
    assert found == []
