"""What measuring a request adds to it, in the process: a fresh scope for each, and no server.

Every figure is what is left when the bare application's own time is taken off: of the minima in one, and round by
round in the other, of which the median is shown. It is processor time, since nothing here waits: differences of some
microseconds would drown in what the machine does otherwise. The routes that an application has must not matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from time import process_time
from typing import Any

from benchmarks._measure import Effort, Figures, Outcomes, Run, awaiting, measure, problem
from benchmarks._rows import Row, Target, peer_to_us, rows
from benchmarks._services import BARE, BY_HAND, INCLUDED, MANY, ONE, RAW, SERVICES, WRAPPERS, serving

__all__ = ("RATIO", "run")

RATIO = "the time that a peer adds ÷ what we add"

TARGETS = {
    RAW: Target(BY_HAND, "≥", 1.83),
    MANY: Target(BY_HAND, "≥", 1.35),
    INCLUDED: Target(BY_HAND, "≥", 1.88),
}
LONGER = 4  # than other benchmarks' rounds: a request is longer than an increment, and differences are small
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


def _requests(what: str, who: str) -> Run | str:
    try:
        app = serving(what, who)
        path = SERVICES[what].path
        scope = {**SCOPE, "path": path, "raw_path": path.encode()}
        asyncio.run(_check(app, {**scope}))
        return awaiting(lambda: app({**scope}, _receive, _send), process_time)
    except Exception as error:  # noqa: BLE001  # a peer that is missing or broken is a result
        return problem(error)


async def _check(app: Any, scope: dict[str, Any]) -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, _receive, send)
    if [message.get("status") for message in sent if "status" in message] != [200]:
        raise ValueError(f"expected one answer with status 200, got {sent}")


def _added(what: str, effort: Effort) -> Outcomes:
    contenders = {who: _requests(what, who) for who in (BARE, *WRAPPERS[what])}
    outcomes = measure(contenders, replace(effort, seconds=effort.seconds * LONGER), beyond=BARE)
    return {who: found if isinstance(found, str) else found.scaled(1e6) for who, found in outcomes.items()}


def _bare(what: str, outcomes: Outcomes) -> Iterator[Row]:
    found = outcomes.pop(BARE)
    if isinstance(found, Figures):
        yield Row(what, BARE, "µs", found, None, None, "in all")


def _growth(few: Outcomes, many: Outcomes) -> Iterator[Row]:
    for who, figures in many.items():
        first = few[who]
        if isinstance(figures, Figures) and isinstance(first, Figures):
            times = Figures(figures.minimum / first.minimum, figures.median / first.median)
            yield Row("added with 100 routes ÷ with 1", who, "times", times, None, None)


def run(effort: Effort) -> Iterator[Row]:
    """Yield the microseconds that are added to a request."""
    found: dict[str, Outcomes] = {}
    for what in WRAPPERS:
        found[what] = outcomes = _added(what, effort)
        yield from _bare(what, outcomes)
        yield from rows(what, "µs", outcomes, peer_to_us, TARGETS.get(what))
    yield from _growth(found[ONE], found[MANY])
