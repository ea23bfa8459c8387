"""Compare prometheus_client's public API with ours, name by name, and write the tables of docs/migrating.md.

``python -m scripts.compatibility`` writes them; with ``--check`` it only tells whether they are what they should be.
"""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import prometheus_client

from scripts._api import differences, environment_names, find, members, modules, public_names
from scripts._reasons import DIFFERS, HOMES, NOT_PLANNED, WHOLE_MODULES

__all__ = ("PAGE", "Row", "main", "page", "problems", "rows")

PAGE = Path(__file__).parents[1] / "docs" / "migrating.md"
THEIRS = "prometheus_client"
OURS = "asyncmetrics"
SAME, DIFFERENT, MISSING, UNEXPLAINED = "same", "differs", "not planned", "unexplained"
_NOTHING = object()
# Where a name stands in several modules, the row is that of the first.
_ORDER = ("", "core", "exposition", "registry", "metrics")
# Classes whose instances have attributes that the class does not show, and how to make one with either library.
_SPECIMENS: dict[str, tuple[object, ...]] = {
    "Metric": ("a", "A.", "gauge"),
    "Timestamp": (1, 2),
    "Exemplar": ({}, 1.0),
    "Sample": ("a", {}, 1.0),
}


class Row(NamedTuple):
    """One name, what kind of row it is, and the words for it."""

    name: str
    kind: str
    text: str = ""


def rows() -> list[Row]:
    """Return a row for every public name of prometheus_client; a module that has no room here is one row."""
    whole = [Row(f"{module}.*", MISSING, text) for module, text in WHOLE_MODULES.items()]
    environment = [_row(f"${name}", name, _environment(name)) for name in environment_names(prometheus_client)]
    return [*_named_rows(), *whole, *environment]


def _named_rows() -> Iterator[Row]:
    seen: set[tuple[str, int]] = set()
    for module in _modules():
        for name, value in _names(module):
            if (name, id(value)) not in seen:
                seen.add((name, id(value)))
                yield from _rows_of(_joined(module, name), value)


def _modules() -> list[str]:
    names = [name.removeprefix(f"{THEIRS}.") for name in modules(prometheus_client)]
    rest = sorted(name for name in names if name not in _ORDER and name not in WHOLE_MODULES)
    return [*_ORDER, *rest]


def _names(module: str) -> Iterator[tuple[str, Any]]:
    theirs = importlib.import_module(_joined(THEIRS, module))
    return ((name, getattr(theirs, name)) for name in public_names(theirs))


def _joined(*parts: str) -> str:
    return ".".join(filter(None, parts))


def _home(path: str) -> str:
    """Return the module in which the name ``path`` is here, if it is at another place."""
    return HOMES.get(path) or HOMES.get(path.rpartition(".")[0], "")


def _ours(path: str) -> Any:
    places = (path, _joined(_home(path), path.rpartition(".")[2]))
    for place in places:
        try:
            return find(_joined(OURS, place))
        except LookupError:
            continue
    return _NOTHING


def _rows_of(path: str, theirs: Any) -> Iterator[Row]:
    ours = _ours(path)
    home = _home(path)
    yield _row(path, theirs, ours, *[f"in `{OURS}.{home}`"] * bool(home))
    if isinstance(theirs, type) and path not in NOT_PLANNED and ours is not _NOTHING:
        specimen = _SPECIMENS.get(theirs.__name__)
        made, mine = (kind(*specimen) if specimen else kind for kind in (theirs, ours))
        for name in members(theirs, made):
            yield _row(f"{path}.{name}", getattr(made, name), getattr(mine, name, _NOTHING))


def _environment(name: str) -> object:
    return name if name in environment_names(importlib.import_module(OURS)) else _NOTHING


def _row(path: str, theirs: object, ours: object, *moved: str) -> Row:
    if path in NOT_PLANNED:
        return Row(path, MISSING, NOT_PLANNED[path])
    found = ["there is none"] if ours is _NOTHING else differences(theirs, ours)
    reason = DIFFERS.get(path) or DIFFERS.get(f"*.{path.rpartition('.')[2]}", "")
    if not (found or reason or moved):
        return Row(path, SAME)
    how = "; ".join([*moved, *found])
    return Row(path, UNEXPLAINED if found and not reason else DIFFERENT, ". ".join(filter(None, [how, reason])))


def problems() -> list[str]:
    """Return what is wrong with the reasons: names that lack one, reasons that no name needs, names out of place."""
    found = rows()
    names = {row.name for row in found}
    names |= {f"*.{name.rpartition('.')[2]}" for name in names}
    unexplained = [f"{row.name}: {row.text}" for row in found if row.kind == UNEXPLAINED]
    idle = [f"{name}: a reason for a name that there is not" for name in sorted({*DIFFERS, *NOT_PLANNED} - names)]
    there_after_all = [
        f"{name}: not planned, but there it is" for name in sorted(NOT_PLANNED) if _ours(name) is not _NOTHING
    ]
    return unexplained + idle + there_after_all


def _paths() -> Iterator[str]:
    """Yield the table of import paths: each of their modules, and where its names are here."""
    yield "| `prometheus_client` | `asyncmetrics` |"
    yield "|---|---|"
    for module in _modules():
        places = dict.fromkeys(_place(module, name) for name, _ in _names(module))
        there = [f"`{place}`" for place in places if place]
        if places:
            yield f"| `{_joined(THEIRS, module)}` | {', '.join(there) or 'none: see below'} |"


def _place(module: str, name: str) -> str:
    for place in (module, _home(_joined(module, name)), _home(name), ""):
        try:
            find(_joined(OURS, place, name))
        except LookupError:
            continue
        return _joined(OURS, place)
    return ""


def _names_table(found: Iterable[Row]) -> Iterator[str]:
    yield "| name | same | differs: how | not planned |"
    yield "|---|---|---|---|"
    for row in found:
        cells = [row.text or "yes" if row.kind == kind else "" for kind in (SAME, DIFFERENT, MISSING)]
        yield f"| `{row.name}` | {' | '.join(cells)} |"


def _counts(found: Iterable[Row]) -> Iterator[str]:
    number = Counter(row.kind for row in found)
    yield (
        f"{number.total()} names: {number[SAME]} are the same, {number[DIFFERENT]} differ on purpose, "
        f"{number[MISSING]} are not planned."
    )


def page(text: str) -> str:
    """Return ``text`` with its marked parts made anew."""
    found = rows()
    parts = {"paths": _paths(), "counts": _counts(found), "names": _names_table(found)}
    for name, lines in parts.items():
        begin, end = f"<!-- {name}: made by python -m scripts.compatibility -->", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, mark, after = rest.partition(end)
        if not mark:
            raise ValueError(f"{PAGE.name} has no part between {begin!r} and {end!r}")
        text = "\n".join([before + begin, "", *lines, "", end + after])
    return text


def main(arguments: list[str]) -> int:
    """Write or check the page, tell what is wrong, and return the exit status."""
    found = problems()
    old = PAGE.read_text(encoding="utf-8")
    new = page(old)
    if "--check" in arguments:
        found += [f"{PAGE.name} is stale: run python -m scripts.compatibility"] if new != old else []
    else:
        PAGE.write_text(new, encoding="utf-8")
    print(*found, *_counts(rows()), sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
