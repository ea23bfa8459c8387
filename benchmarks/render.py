"""What a scrape costs: processor time per line of 10,000 and 100,000 counters and of 1,000 histograms.

Both libraries hold the same data, and what they write is compared line by line before anything is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from time import process_time
from typing import TypeAlias

from benchmarks._measure import Effort, Run, measure, problem
from benchmarks._registries import ours, theirs
from benchmarks._rows import OURS, THEIRS, Row, Target, peer_to_us, rows

__all__ = ("RATIO", "run")

RATIO = "prometheus_client's time ÷ ours"

TEXT, OPENMETRICS = "text", "OpenMetrics"
TARGET = Target(THEIRS, "≥", 20)
SIZES = (("Counter", 10_000), ("Counter", 100_000), ("Histogram", 1_000))
# A round is at least one rendering, the peer's longest of which takes most of a second.
ROUNDS = 7

Render: TypeAlias = Callable[[], bytes]
Library: TypeAlias = Callable[[str, int, str], Render]


def _asyncmetrics(kind: str, count: int, format: str) -> Render:
    from asyncmetrics.formats.writing.openmetrics import encode_openmetrics
    from asyncmetrics.formats.writing.text import encode_text

    registry = ours(kind, count)
    encode = encode_openmetrics if format == OPENMETRICS else encode_text
    return lambda: b"".join(encode(registry.collect()))


def _prometheus_client(kind: str, count: int, format: str) -> Render:
    import prometheus_client
    from prometheus_client.openmetrics import exposition

    registry = theirs(kind, count)
    generate = exposition.generate_latest if format == OPENMETRICS else prometheus_client.generate_latest
    return lambda: generate(registry)


LIBRARIES: dict[str, Library] = {OURS: _asyncmetrics, THEIRS: _prometheus_client}


def _again(render: Render) -> Run:
    def repeat(number: int) -> float:
        started = process_time()
        for _ in range(number):
            render()
        return process_time() - started

    return repeat


def _first(library: Library, kind: str, count: int, format: str) -> Run:
    return lambda number: sum(_again(library(kind, count, format))(1) for _ in range(number))


def _lines(body: bytes) -> list[bytes]:
    """Return the lines in an order of their own: the two libraries differ in that of TYPE and HELP."""
    return sorted(body.splitlines())


def _contestants(kind: str, count: int, format: str) -> tuple[dict[str, Run | str], int]:
    runs: dict[str, Run | str] = {}
    lines: list[bytes] = []
    for who, library in LIBRARIES.items():
        try:
            render = library(kind, count, format)
            written = _lines(render())
            if lines and written != lines:
                raise ValueError(_difference(lines, written))
            lines = written
            runs[who] = _again(render)
        except Exception as error:  # noqa: BLE001  # a peer's failure is a result
            runs[who] = problem(error)
    return runs, len(lines)


def _difference(ours: list[bytes], theirs: list[bytes]) -> str:
    mine, other = set(ours).difference(theirs), set(theirs).difference(ours)
    return f"writes something else: {min(other, default=b'')!r} for {min(mine, default=b'')!r}"


def _rows(what: str, runs: dict[str, Run | str], lines: int, effort: Effort, target: Target | None) -> Iterator[Row]:
    outcomes = measure(runs, effort if effort.quick else replace(effort, rounds=ROUNDS))
    each = {who: found if isinstance(found, str) else found.scaled(1e6 / lines) for who, found in outcomes.items()}
    for row in rows(what, "µs per line", each, peer_to_us, target):
        total = f"{row.figures.minimum * lines / 1e3:,.1f} ms in all" if row.figures else row.note
        yield replace(row, note=total)


def run(effort: Effort) -> Iterator[Row]:
    """Yield microseconds per line, with the milliseconds in all as a note."""
    for format in (TEXT, OPENMETRICS):
        for kind, full in SIZES:
            count = effort.size(full)
            runs, lines = _contestants(kind, count, format)
            yield from _rows(f"{count:,} × {kind}, {format}", runs, lines, effort, TARGET)
    kind, count = SIZES[0][0], effort.size(SIZES[0][1])
    first: dict[str, Run | str] = {who: _first(library, kind, count, TEXT) for who, library in LIBRARIES.items()}
    yield from _rows(f"{count:,} × {kind}, {TEXT}, first scrape", first, count + 2, effort, None)
