"""Compare prometheus_client with asyncmetrics.prometheus_client by names and arguments, for docs/migrating.md.

``python -m scripts.compatibility`` writes the tables of the names that are missing or differ; with ``--check`` it only
checks that they are up to date. The list of what *behaves* differently is on the page itself (`list_slugs`).
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import prometheus_client

from scripts._api import find, list_differences, list_members, list_modules, list_public_names
from scripts._reasons import DIFFERS, MISSING, MISSING_MODULES

__all__ = ("PAGE", "Row", "find_problems", "list_slugs", "main", "make_rows", "update_page")

PAGE = Path(__file__).parents[1] / "docs" / "migrating.md"
THEIRS = "prometheus_client"
OURS = "asyncmetrics.prometheus_client"
SAME, DIFFERENT, ABSENT = "same", "different", "absent"
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
_SLUG = re.compile(r"^\| `([a-z0-9-]+)` \|", re.MULTILINE)


class Row(NamedTuple):
    """One name, whether it is here, what differs, and the reason; the reason is empty for what has none yet."""

    name: str
    kind: str
    text: str = ""
    reason: str = ""


def make_rows() -> list[Row]:
    """Return a row for every public name of prometheus_client, and one for each module that is not here."""
    return [*_make_rows_of_names(), *(Row(f"{name}.*", ABSENT, "", text) for name, text in MISSING_MODULES.items())]


def _make_rows_of_names() -> Iterator[Row]:
    seen: set[tuple[str, int]] = set()
    for module in _sort_modules():
        for name, value in _list_names(module):
            if (name, id(value)) not in seen:
                seen.add((name, id(value)))
                yield from _make_rows_of(_join(module, name), value)


def _sort_modules() -> list[str]:
    names = [name.removeprefix(f"{THEIRS}.") for name in list_modules(prometheus_client)]
    return [*_ORDER, *sorted(name for name in names if name not in _ORDER and name not in MISSING_MODULES)]


def _list_names(module: str) -> Iterator[tuple[str, Any]]:
    theirs = importlib.import_module(_join(THEIRS, module))
    return ((name, getattr(theirs, name)) for name in list_public_names(theirs))


def _join(*parts: str) -> str:
    return ".".join(filter(None, parts))


def _find_ours(path: str) -> Any:
    try:
        return find(_join(OURS, path))
    except LookupError:
        return _NOTHING


def _make_rows_of(path: str, theirs: Any) -> Iterator[Row]:
    ours = _find_ours(path)
    yield _make_row(path, theirs, ours)
    if isinstance(theirs, type) and ours is not _NOTHING:
        arguments = _INSTANCES.get(theirs.__name__)
        their_instance, our_instance = (kind(*arguments) if arguments else kind for kind in (theirs, ours))
        for name in list_members(theirs, their_instance):
            member = getattr(our_instance, name, _NOTHING)
            yield _make_row(f"{path}.{name}", getattr(their_instance, name), member)


def _make_row(path: str, theirs: object, ours: object) -> Row:
    if ours is _NOTHING:
        return Row(path, ABSENT, "", DIFFERS.get(path) or MISSING.get(_find_pattern(path), ""))
    differences = list_differences(theirs, ours)
    return Row(path, DIFFERENT, "; ".join(differences), DIFFERS.get(path, "")) if differences else Row(path, SAME)


def _find_pattern(path: str) -> str:
    return f"{path.rpartition('.')[0]}.*"


def find_problems() -> list[str]:
    """Return the names without a reason, the reasons without a name, and the modules that are here after all."""
    rows = [row for row in make_rows() if row.kind != SAME]
    used = {row.name for row in rows} | {_find_pattern(row.name) for row in rows}
    unexplained = [f"{row.name}: {row.text or 'is not here'}" for row in rows if not row.reason]
    unused = [f"{name}: a reason for what is the same" for name in sorted({*DIFFERS, *MISSING} - used)]
    existing = [f"{name}: listed as missing, but it is here" for name in MISSING_MODULES if _is_here(name)]
    return unexplained + unused + existing


def _is_here(module: str) -> bool:
    return _find_ours(module) is not _NOTHING


def _format_names(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the table; the names of one reason are in one line of it."""
    lines: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.kind != SAME:
            lines.setdefault((row.text or "not here", row.reason), []).append(f"`{row.name}`")
    yield "| name | here | why, or what instead |"
    yield "|---|---|---|"
    for (text, reason), names in lines.items():
        yield f"| {', '.join(names)} | {text} | {reason} |"


def _format_counts(rows: Iterable[Row]) -> str:
    kinds = [row.kind for row in rows if not row.name.endswith(".*")]
    return (
        f"Of {len(kinds)} public names, {kinds.count(SAME)} are here with the same arguments, "
        f"{kinds.count(DIFFERENT)} with others, and {kinds.count(ABSENT)} are not here."
    )


def list_slugs(text: str) -> list[str]:
    """Return the names of the differences in behaviour that the page ``text`` lists."""
    _, mark, rest = text.partition("<!-- differences:")
    listed, end, _ = rest.partition("<!-- end of differences -->")
    if not (mark and end):
        raise ValueError(f"{PAGE.name} has no part with the differences")
    return _SLUG.findall(listed)


def update_page(text: str) -> str:
    """Return ``text`` with new content between its marks."""
    rows = make_rows()
    begin, end = "<!-- names: made by python -m scripts.compatibility -->", "<!-- end of names -->"
    before, _, rest = text.partition(begin)
    _, mark, after = rest.partition(end)
    if not mark:
        raise ValueError(f"{PAGE.name} has no part between {begin!r} and {end!r}")
    return "\n".join([before + begin, "", _format_counts(rows), "", *_format_names(rows), "", end + after])


def main(arguments: list[str]) -> int:
    """Write or check the page, print the problems, and return the exit status."""
    problems = find_problems()
    old = PAGE.read_text(encoding="utf-8")
    new = update_page(old)
    if "--check" in arguments:
        problems += [f"{PAGE.name} is out of date: run python -m scripts.compatibility"] if new != old else []
    else:
        PAGE.write_text(new, encoding="utf-8")
    print(*problems, _format_counts(make_rows()), sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
