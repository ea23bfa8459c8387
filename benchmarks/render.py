"""The cost of a scrape: processor time per line of 10,000 and 100,000 counters and of 1,000 histograms.

Both libraries have the same data. Their output is compared line by line before anything is measured. Protobuf is
measured beside the protobuf package, from the second scrape on, per series; its messages are compared as well. Native
histograms, for which no peer has an exposition, have 60 observations each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from time import process_time
from typing import TypeAlias

from benchmarks._measure import Effort, Run, describe_problem, measure, scale
from benchmarks._protobuf import encode_with_package, read_with_package
from benchmarks._registries import make_native_registry, make_our_registry, make_their_registry
from benchmarks._rows import OURS, THEIRS, Row, Target, divide_by_ours, make_rows

__all__ = ("RATIO", "run")

RATIO = "prometheus_client's time ÷ ours"

TEXT, OPENMETRICS, PROTOBUF = "text", "OpenMetrics", "protobuf"
PACKAGE = "the protobuf package"
PACKAGE_TARGET = Target(PACKAGE, "≥", 2)
NATIVE = 1_000
SERIES_OF_A_HISTOGRAM = 17  # of our default buckets: 15, count and sum
TARGET = Target(THEIRS, "≥", 20)
SIZES = (("Counter", 10_000), ("Counter", 100_000), ("Histogram", 1_000))
# Fewer rounds than elsewhere: a round is at least one rendering, and the peer's longest takes most of a second.
ROUNDS = 7

Render: TypeAlias = Callable[[], bytes]
Library: TypeAlias = Callable[[str, int, str], Render]


def _asyncmetrics(kind: str, count: int, format: str) -> Render:
    from asyncmetrics.formats.writing.openmetrics import encode_openmetrics
    from asyncmetrics.formats.writing.text import encode_text
    from asyncmetrics.registry.collectables import collect_within

    registry = make_our_registry(kind, count)
    encode = encode_openmetrics if format == OPENMETRICS else encode_text
    return lambda: b"".join(encode(collect_within(registry)))


def _prometheus_client(kind: str, count: int, format: str) -> Render:
    import prometheus_client
    from prometheus_client.openmetrics import exposition

    registry = make_their_registry(kind, count)
    generate = exposition.generate_latest if format == OPENMETRICS else prometheus_client.generate_latest
    return lambda: generate(registry)


LIBRARIES: dict[str, Library] = {OURS: _asyncmetrics, THEIRS: _prometheus_client}


def _repeat_render(render: Render) -> Run:
    def repeat(number: int) -> float:
        started = process_time()
        for _ in range(number):
            render()
        return process_time() - started

    return repeat


def _repeat_first_render(library: Library, kind: str, count: int, format: str) -> Run:
    return lambda number: sum(_repeat_render(library(kind, count, format))(1) for _ in range(number))


def _sort_lines(body: bytes) -> list[bytes]:
    """Return the sorted lines: the two libraries write TYPE and HELP in different orders."""
    return sorted(body.splitlines())


def _make_contenders(kind: str, count: int, format: str) -> tuple[dict[str, Run | str], int]:
    runs: dict[str, Run | str] = {}
    lines: list[bytes] = []
    for contender, library in LIBRARIES.items():
        try:
            render = library(kind, count, format)
            output = _sort_lines(render())
            if lines and output != lines:
                raise ValueError(_describe_difference(lines, output))
            lines = output
            runs[contender] = _repeat_render(render)
        except Exception as error:  # noqa: BLE001  # a peer's failure is a result
            runs[contender] = describe_problem(error)
    return runs, len(lines)


def _describe_difference(ours: list[bytes], theirs: list[bytes]) -> str:
    only_ours, only_theirs = set(ours).difference(theirs), set(theirs).difference(ours)
    return f"writes {min(only_theirs, default=b'')!r} instead of {min(only_ours, default=b'')!r}"


def _make_rows(
    discipline: str, runs: dict[str, Run | str], lines: int, effort: Effort, target: Target | None
) -> Iterator[Row]:
    outcomes = measure(runs, effort if effort.quick else replace(effort, rounds=ROUNDS))
    for row in make_rows(discipline, "µs per line", scale(outcomes, 1e6 / lines), divide_by_ours, target):
        total = f"{row.figures.minimum * lines / 1e3:,.1f} ms in total" if row.figures else row.note
        yield replace(row, note=total)


def _make_protobuf_contenders(kind: str, count: int) -> tuple[dict[str, Run | str], int]:
    from asyncmetrics.formats.writing.protobuf import encode_protobuf
    from asyncmetrics.registry.collectables import collect_within

    registry = make_our_registry(kind, count)
    ours: Render = lambda: b"".join(encode_protobuf(collect_within(registry)))  # noqa: E731
    theirs: Render = lambda: encode_with_package(collect_within(registry))  # noqa: E731
    runs: dict[str, Run | str] = {OURS: _repeat_render(ours)}
    lines = count * (1 if kind == "Counter" else SERIES_OF_A_HISTOGRAM)
    try:
        if read_with_package(ours()) != read_with_package(theirs()):
            raise ValueError("the messages differ")
        runs[PACKAGE] = _repeat_render(theirs)
    except Exception as error:  # noqa: BLE001  # a peer's failure is a result
        runs[PACKAGE] = describe_problem(error)
    return runs, lines


def _run_protobuf(effort: Effort) -> Iterator[Row]:
    from asyncmetrics.formats.writing.protobuf import encode_protobuf
    from asyncmetrics.registry.collectables import collect_within

    for kind, full in SIZES:
        count = effort.size(full)
        runs, lines = _make_protobuf_contenders(kind, count)
        yield from _make_rows(f"{count:,} × {kind}, {PROTOBUF}", runs, lines, effort, PACKAGE_TARGET)
    count = effort.size(NATIVE)
    registry = make_native_registry(count)
    native: dict[str, Run | str] = {OURS: _repeat_render(lambda: b"".join(encode_protobuf(collect_within(registry))))}
    yield from _make_rows(f"{count:,} × native Histogram, {PROTOBUF}", native, count, effort, None)


def run(effort: Effort) -> Iterator[Row]:
    """Yield microseconds per line, with the total milliseconds as a note."""
    for format in (TEXT, OPENMETRICS):
        for kind, full in SIZES:
            count = effort.size(full)
            runs, lines = _make_contenders(kind, count, format)
            yield from _make_rows(f"{count:,} × {kind}, {format}", runs, lines, effort, TARGET)
    kind, count = SIZES[0][0], effort.size(SIZES[0][1])
    first: dict[str, Run | str] = {
        contender: _repeat_first_render(library, kind, count, TEXT) for contender, library in LIBRARIES.items()
    }
    yield from _make_rows(f"{count:,} × {kind}, {TEXT}, first scrape", first, count + 2, effort, None)
    yield from _run_protobuf(effort)
