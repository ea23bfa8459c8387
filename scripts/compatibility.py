"""Compare prometheus_client's public API with ours, name by name, and write the tables of docs/migrating.md.

``python -m scripts.compatibility`` writes them; with ``--check`` it only checks that they are up to date.
"""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import prometheus_client

from scripts._api import (
    find,
    find_environment_names,
    list_differences,
    list_members,
    list_modules,
    list_public_names,
)
from scripts._reasons import DIFFERS, HOMES, NOT_PLANNED, WHOLE_MODULES

__all__ = ("PAGE", "Row", "find_problems", "main", "make_rows", "update_page")

PAGE = Path(__file__).parents[1] / "docs" / "migrating.md"
THEIRS = "prometheus_client"
OURS = "asyncmetrics"
SAME, DIFFERENT, MISSING, UNEXPLAINED = "same", "differs", "not planned", "unexplained"
_NOTHING = object()
# A name that several modules have gets one row, that of the first module in this order.
_ORDER = ("", "core", "exposition", "registry", "metrics")
# Arguments that create an instance, for the classes whose instances have attributes that the class does not show.
_INSTANCES: dict[str, tuple[object, ...]] = {
    "Metric": ("a", "A.", "gauge"),
    "Timestamp": (1, 2),
    "Exemplar": ({}, 1.0),
    "Sample": ("a", {}, 1.0),
}


class Row(NamedTuple):
    """One name, the kind of its row, and the text in the row."""

    name: str
    kind: str
    text: str = ""


def make_rows() -> list[Row]:
    """Return a row for every public name of prometheus_client, and one for each module without a counterpart here."""
    whole = [Row(f"{module}.*", MISSING, text) for module, text in WHOLE_MODULES.items()]
    environment = [
        _make_row(f"${name}", name, _find_variable(name)) for name in find_environment_names(prometheus_client)
    ]
    return [*_make_rows_of_names(), *whole, *environment]


def _make_rows_of_names() -> Iterator[Row]:
    seen: set[tuple[str, int]] = set()
    for module in _sort_modules():
        for name, value in _list_names(module):
            if (name, id(value)) not in seen:
                seen.add((name, id(value)))
                yield from _make_rows_of(_join(module, name), value)


def _sort_modules() -> list[str]:
    names = [name.removeprefix(f"{THEIRS}.") for name in list_modules(prometheus_client)]
    rest = sorted(name for name in names if name not in _ORDER and name not in WHOLE_MODULES)
    return [*_ORDER, *rest]


def _list_names(module: str) -> Iterator[tuple[str, Any]]:
    theirs = importlib.import_module(_join(THEIRS, module))
    return ((name, getattr(theirs, name)) for name in list_public_names(theirs))


def _join(*parts: str) -> str:
    return ".".join(filter(None, parts))


def _find_home(path: str) -> str:
    """Return the module that has the name ``path`` here, or ``""`` if the module is the same as theirs."""
    return HOMES.get(path) or HOMES.get(path.rpartition(".")[0], "")


def _find_ours(path: str) -> Any:
    for our_path in (path, _join(_find_home(path), path.rpartition(".")[2])):
        try:
            return find(_join(OURS, our_path))
        except LookupError:
            continue
    return _NOTHING


def _make_rows_of(path: str, theirs: Any) -> Iterator[Row]:
    ours = _find_ours(path)
    home = _find_home(path)
    yield _make_row(path, theirs, ours, *[f"in `{OURS}.{home}`"] * bool(home))
    if isinstance(theirs, type) and path not in NOT_PLANNED and ours is not _NOTHING:
        arguments = _INSTANCES.get(theirs.__name__)
        their_instance, our_instance = (kind(*arguments) if arguments else kind for kind in (theirs, ours))
        for name in list_members(theirs, their_instance):
            member = getattr(our_instance, name, _NOTHING)
            yield _make_row(f"{path}.{name}", getattr(their_instance, name), member)


def _find_variable(name: str) -> object:
    return name if name in find_environment_names(importlib.import_module(OURS)) else _NOTHING


def _make_row(path: str, theirs: object, ours: object, *moved: str) -> Row:
    if path in NOT_PLANNED:
        return Row(path, MISSING, NOT_PLANNED[path])
    differences = ["there is none"] if ours is _NOTHING else list_differences(theirs, ours)
    reason = DIFFERS.get(path) or DIFFERS.get(f"*.{path.rpartition('.')[2]}", "")
    if not (differences or reason or moved):
        return Row(path, SAME)
    how = "; ".join([*moved, *differences])
    kind = UNEXPLAINED if differences and not reason else DIFFERENT
    return Row(path, kind, ". ".join(filter(None, [how, reason])))


def find_problems() -> list[str]:
    """Return differences without a reason, reasons for names that do not exist, and existing names 'not planned'."""
    rows = make_rows()
    names = {row.name for row in rows}
    names |= {f"*.{name.rpartition('.')[2]}" for name in names}
    unexplained = [f"{row.name}: {row.text}" for row in rows if row.kind == UNEXPLAINED]
    unused = [f"{name}: a reason for a name that does not exist" for name in sorted({*DIFFERS, *NOT_PLANNED} - names)]
    existing = [
        f"{name}: not planned, but it exists" for name in sorted(NOT_PLANNED) if _find_ours(name) is not _NOTHING
    ]
    return unexplained + unused + existing


def _format_paths() -> Iterator[str]:
    """Yield the table of import paths: each of their modules, and the modules that have its names here."""
    yield "| `prometheus_client` | `asyncmetrics` |"
    yield "|---|---|"
    for module in _sort_modules():
        paths = dict.fromkeys(_find_path(module, name) for name, _ in _list_names(module))
        existing = [f"`{path}`" for path in paths if path]
        if paths:
            yield f"| `{_join(THEIRS, module)}` | {', '.join(existing) or 'none: see below'} |"


def _find_path(module: str, name: str) -> str:
    for path in (module, _find_home(_join(module, name)), _find_home(name), ""):
        try:
            find(_join(OURS, path, name))
        except LookupError:
            continue
        return _join(OURS, path)
    return ""


def _format_names(rows: Iterable[Row]) -> Iterator[str]:
    yield "| name | same | difference | not planned |"
    yield "|---|---|---|---|"
    for row in rows:
        cells = [row.text or "yes" if row.kind == kind else "" for kind in (SAME, DIFFERENT, MISSING)]
        yield f"| `{row.name}` | {' | '.join(cells)} |"


def _format_counts(rows: Iterable[Row]) -> Iterator[str]:
    number = Counter(row.kind for row in rows)
    yield (
        f"{number.total()} names: {number[SAME]} are the same, {number[DIFFERENT]} differ on purpose, "
        f"{number[MISSING]} are not planned."
    )


def update_page(text: str) -> str:
    """Return ``text`` with new content between its marks."""
    rows = make_rows()
    parts = {"paths": _format_paths(), "counts": _format_counts(rows), "names": _format_names(rows)}
    for name, lines in parts.items():
        begin, end = f"<!-- {name}: made by python -m scripts.compatibility -->", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, mark, after = rest.partition(end)
        if not mark:
            raise ValueError(f"{PAGE.name} has no part between {begin!r} and {end!r}")
        text = "\n".join([before + begin, "", *lines, "", end + after])
    return text


def main(arguments: list[str]) -> int:
    """Write or check the page, print the problems, and return the exit status."""
    problems = find_problems()
    old = PAGE.read_text(encoding="utf-8")
    new = update_page(old)
    if "--check" in arguments:
        problems += [f"{PAGE.name} is out of date: run python -m scripts.compatibility"] if new != old else []
    else:
        PAGE.write_text(new, encoding="utf-8")
    print(*problems, *_format_counts(make_rows()), sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
