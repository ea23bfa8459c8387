"""The time that measuring adds to a request, without a server; each request has a new scope.

A figure is the time of an application minus the time of the bare application: the difference of the minima, and the
median of the differences of the rounds. It is processor time, because nothing here waits, and because other load on the
machine would hide differences of some microseconds. The number of routes of an application must not matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from time import process_time
from typing import Any

from benchmarks._measure import Effort, Figures, Outcomes, Run, describe_problem, measure, repeat_await, scale
from benchmarks._rows import Row, Target, divide_by_ours, make_rows
from benchmarks._services import BARE, BY_HAND, INCLUDED, MANY, ONE, RAW, SERVICES, WRAPPERS, make_service

__all__ = ("RATIO", "run")

RATIO = "the time that a peer adds ÷ the time that we add"

TARGETS = {
    RAW: Target(BY_HAND, "≥", 2.2),
    MANY: Target(BY_HAND, "≥", 1.35),
    INCLUDED: Target(BY_HAND, "≥", 1.3),
}
# Rounds are longer than in other benchmarks: a request takes longer than an increment, and the differences are small.
LONGER = 4
SCOPE: dict[str, Any] = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "server": ("127.0.0.1", 8000),
    "client": ("127.0.0.1", 50000),
    "scheme": "http",
    "method": "GET",
    "root_path": "",
    "query_string": b"",
    "headers": [(b"host", b"127.0.0.1:8000"), (b"user-agent", b"benchmark"), (b"accept", b"*/*")],
}


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: dict[str, Any]) -> None:
    pass


def _repeat_request(discipline: str, contender: str) -> Run | str:
    try:
        app = make_service(discipline, contender)
        path = SERVICES[discipline].path
        scope = {**SCOPE, "path": path, "raw_path": path.encode()}
        asyncio.run(_check(app, {**scope}))
        return repeat_await(lambda: app({**scope}, _receive, _send), process_time)
    except Exception as error:  # noqa: BLE001  # a peer that is missing or broken is a result
        return describe_problem(error)


async def _check(app: Any, scope: dict[str, Any]) -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, _receive, send)
    if [message.get("status") for message in sent if "status" in message] != [200]:
        raise ValueError(f"expected one response with status 200, got {sent}")


def _measure_additions(discipline: str, effort: Effort) -> Outcomes:
    contenders = {contender: _repeat_request(discipline, contender) for contender in (BARE, *WRAPPERS[discipline])}
    outcomes = measure(contenders, replace(effort, seconds=effort.seconds * LONGER), beyond=BARE)
    return scale(outcomes, 1e6)


def _make_bare_row(discipline: str, outcomes: Outcomes) -> Iterator[Row]:
    figures = outcomes.pop(BARE)
    if isinstance(figures, Figures):
        yield Row(discipline, BARE, "µs", figures, None, None, "in total")


def _make_growth_rows(few: Outcomes, many: Outcomes) -> Iterator[Row]:
    for contender, figures in many.items():
        first = few[contender]
        if isinstance(figures, Figures) and isinstance(first, Figures):
            times = Figures(figures.minimum / first.minimum, figures.median / first.median)
            yield Row("added with 100 routes ÷ with 1", contender, "times", times, None, None)


def run(effort: Effort) -> Iterator[Row]:
    """Yield the microseconds that are added to a request."""
    additions: dict[str, Outcomes] = {}
    for discipline in WRAPPERS:
        additions[discipline] = outcomes = _measure_additions(discipline, effort)
        yield from _make_bare_row(discipline, outcomes)
        yield from make_rows(discipline, "µs", outcomes, divide_by_ours, TARGETS.get(discipline))
    yield from _make_growth_rows(additions[ONE], additions[MANY])
