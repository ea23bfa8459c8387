"""Make one table of the edges that tests assert, by frameworks: ``python tests/edges.py TABLE.md REPORT.xml…``.

The reports are pytest's own (``--junit-xml``); what a test claims is written into them by tests/conftest.py, from its
``edge`` mark, its name and the versions it ran on. Exits with 1 if any of it failed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

PASSED, FAILED, NOT_APPLICABLE = "✓", "✗", "–"
FRAMEWORKS = ("any ASGI", "starlette", "fastapi", "litestar", "quart", "django")


class Claim(NamedTuple):
    """What one test asserts of one edge, where it ran, and how it came out."""

    topic: str
    edge: str
    asserted: str
    column: str
    outcome: str


class Row:
    """One edge: what was asserted, in so many words, and the worst outcome in each column."""

    def __init__(self) -> None:
        self.asserted: dict[str, None] = {}
        self.cells: dict[str, str] = {}

    def add(self, claim: Claim) -> None:
        if claim.asserted:
            self.asserted[claim.asserted] = None
        known = self.cells.get(claim.column, NOT_APPLICABLE)
        self.cells[claim.column] = max(known, claim.outcome, key=[NOT_APPLICABLE, PASSED, FAILED].index)


def claims(reports: Iterable[Path]) -> Iterator[Claim]:
    """Read the claims of every test that has made one, in the order in which they ran."""
    for report in reports:
        for case in ET.parse(report).iter("testcase"):
            said = {one.get("name"): one.get("value", "") for one in case.iter("property")}
            if "edge" in said:
                yield Claim(said["topic"], said["edge"], said.get("asserted", ""), said["framework"], _outcome(case))


def _outcome(case: ET.Element) -> str:
    found = {child.tag for child in case}
    if found & {"failure", "error"}:
        return FAILED
    return NOT_APPLICABLE if "skipped" in found else PASSED


def rows_of(claims: Iterable[Claim]) -> dict[tuple[str, str], Row]:
    """Put the claims about one edge into one row, and the rows of one topic together."""
    rows: dict[tuple[str, str], Row] = {}
    for claim in claims:
        rows.setdefault((claim.topic, claim.edge), Row()).add(claim)
    topics = list(dict.fromkeys(topic for topic, _ in rows))
    return dict(sorted(rows.items(), key=lambda item: topics.index(item[0][0])))


def columns_of(rows: Iterable[Row]) -> list[str]:
    """Return the frameworks with their versions, the oldest first."""
    found = {column for row in rows for column in row.cells}
    return sorted(found, key=_place)


def _place(column: str) -> tuple[int, list[int]]:
    name, _, version = column.rpartition(" ")
    digits = [int(part) for part in version.split(".") if part.isdigit()]
    return FRAMEWORKS.index(name if digits else column), digits


def table(rows: dict[tuple[str, str], Row]) -> Iterator[str]:
    """Yield the lines of a table in Markdown; the last row counts the edges that hold."""
    columns = columns_of(rows.values())
    yield _line("topic", "edge", "asserted in full", *columns)
    yield _line("---", "---", "---", *[":-:" for _ in columns])
    for (topic, edge), row in rows.items():
        cells = [row.cells.get(column, NOT_APPLICABLE) for column in columns]
        yield _line(topic, edge, "<br>".join(f"`{one}`" for one in row.asserted), *cells)
    held = [sum(row.cells.get(column) == PASSED for row in rows.values()) for column in columns]
    yield _line("", f"{len(rows)} edges; of them hold", "", *map(str, held))


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def main(written: str, *reports: str) -> int:
    """Print the table and write it into a file; exit with 0 if all of it holds."""
    rows = rows_of(claims(map(Path, reports)))
    text = "\n".join(table(rows)) + "\n"
    Path(written).write_text(text, encoding="utf-8")
    print(text, end="")
    return int(not rows or any(FAILED in row.cells.values() for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
