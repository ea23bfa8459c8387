"""A package whose docstring has a table of its modules lists all of them, and no other one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "asyncmetrics"
FRAME = re.compile(r"^=+ =+$", re.MULTILINE)


def _read_table(room: Path) -> str:
    docstring = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))) or ""
    parts = FRAME.split(docstring)
    return parts[1] if len(parts) > 2 else ""


ROOMS = sorted(path.parent for path in ROOT.rglob("__init__.py") if "\n``" in _read_table(path.parent))


@pytest.mark.parametrize("room", ROOMS, ids=[room.relative_to(ROOT).as_posix() for room in ROOMS])
def test_the_table_of_a_package_lists_its_modules(room):
    named = {
        name
        for line in _read_table(room).splitlines()
        if line.startswith("``")
        for name in re.findall(r"``(\w+)``", line[:22])
    }
    modules = {path.stem for path in room.glob("*.py")} | {path.parent.name for path in room.glob("*/__init__.py")}
    assert named == modules - {"__init__"}
