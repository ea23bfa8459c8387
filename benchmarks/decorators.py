"""What a decorator adds to a call, in units of what an empty wrapper of the same kind adds.

A wrapper is the least that a decorator can be. prometheus_client takes part where it is usually found, on
coroutines: its decorators end when the coroutine has been created, so that what it does costs less and measures
nothing.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from typing import Any

from benchmarks._measure import Effort, Run, awaiting, exhausting, measure, statement
from benchmarks._peers import contestants
from benchmarks._rows import OURS, THEIRS, Row, Target, rows

__all__ = ("RATIO", "run")

RATIO = "(decorated - bare) ÷ (empty wrapper - bare)"

BARE = "bare"
WRAPPER = "empty wrapper"

TIME = "@h.time() on a coroutine"
EXCEPTIONS = "@c.count_exceptions() on a coroutine"
PROGRESS = "@g.track_inprogress() on a coroutine"
CALLS = "@CallMetrics(…) on a coroutine"
FUNCTION = "@h.time() on a function"
GENERATOR = "@h.time() on an async generator of one item"
TARGETS = {TIME: Target(OURS, "≤", 3)}

Decorator = Callable[[Any], Any]


async def _coroutine() -> None:
    pass


def _function() -> None:
    pass


async def _generator() -> AsyncGenerator[None, None]:
    yield


def _call(function: Callable[[], Any]) -> Run:
    return statement("f()", f=function)


def _bare() -> Mapping[str, Run]:
    coroutine = awaiting(_coroutine)
    return {
        TIME: coroutine,
        EXCEPTIONS: coroutine,
        PROGRESS: coroutine,
        CALLS: coroutine,
        FUNCTION: _call(_function),
        GENERATOR: exhausting(_generator),
    }


def _empty_wrapper() -> Mapping[str, Run]:
    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        return await _coroutine(*args, **kwargs)

    def function(*args: Any, **kwargs: Any) -> Any:
        return _function(*args, **kwargs)

    async def generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        async for item in _generator(*args, **kwargs):
            yield item

    wrapped = awaiting(functools.wraps(_coroutine)(coroutine))
    return {
        TIME: wrapped,
        EXCEPTIONS: wrapped,
        PROGRESS: wrapped,
        CALLS: wrapped,
        FUNCTION: _call(functools.wraps(_function)(function)),
        GENERATOR: exhausting(functools.wraps(_generator)(generator)),
    }


def _asyncmetrics() -> Mapping[str, Run]:
    from asyncmetrics import CallMetrics, CollectorRegistry, Counter, Gauge, Histogram

    to: dict[str, Any] = {"registry": CollectorRegistry()}
    histogram = Histogram("latency", "Latency.", **to)
    return {
        TIME: awaiting(histogram.time()(_coroutine)),
        EXCEPTIONS: awaiting(Counter("faults", "Faults.", **to).count_exceptions()(_coroutine)),
        PROGRESS: awaiting(Gauge("running", "Running.", **to).track_inprogress()(_coroutine)),
        CALLS: awaiting(CallMetrics("jobs", "Jobs.", **to)(_coroutine)),
        FUNCTION: _call(histogram.time()(_function)),
        GENERATOR: exhausting(histogram.time()(_generator)),
    }


def _prometheus_async() -> Mapping[str, Run]:
    from prometheus_async.aio import count_exceptions, time, track_inprogress
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

    to: dict[str, Any] = {"registry": CollectorRegistry()}
    return {
        TIME: awaiting(time(Histogram("latency", "Latency.", **to))(_coroutine)),
        EXCEPTIONS: awaiting(count_exceptions(Counter("faults", "Faults.", **to))(_coroutine)),
        PROGRESS: awaiting(track_inprogress(Gauge("running", "Running.", **to))(_coroutine)),
    }


def _prometheus_client() -> Mapping[str, Run]:
    from prometheus_client import CollectorRegistry, Histogram

    histogram = Histogram("latency", "Latency.", registry=CollectorRegistry())
    return {FUNCTION: _call(histogram.time()(_function))}


def _prometheus_client_on_coroutines() -> Mapping[str, Run]:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

    to: dict[str, Any] = {"registry": CollectorRegistry()}
    return {
        TIME: awaiting(Histogram("latency", "Latency.", **to).time()(_coroutine)),
        EXCEPTIONS: awaiting(Counter("faults", "Faults.", **to).count_exceptions()(_coroutine)),
        PROGRESS: awaiting(Gauge("running", "Running.", **to).track_inprogress()(_coroutine)),
    }


MAKERS = {
    BARE: _bare,
    WRAPPER: _empty_wrapper,
    OURS: _asyncmetrics,
    "prometheus-async": _prometheus_async,
    THEIRS: _prometheus_client,
    f"{THEIRS} (creation only)": _prometheus_client_on_coroutines,
}


def _added(figures: Mapping[str, float], who: str) -> float | None:
    wrapper = figures[WRAPPER] - figures[BARE]
    return (figures[who] - figures[BARE]) / wrapper if who not in {BARE, WRAPPER} and wrapper > 0 else None


def run(effort: Effort) -> Iterator[Row]:
    """Yield nanoseconds per call."""
    for what, entered in contestants(MAKERS).items():
        outcomes = measure(entered, effort)
        scaled = {who: found if isinstance(found, str) else found.scaled(1e9) for who, found in outcomes.items()}
        yield from rows(what, "ns", scaled, _added, TARGETS.get(what))
