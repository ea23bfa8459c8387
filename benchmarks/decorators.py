"""The time that a decorator adds to a call, as a multiple of the time that an empty wrapper of the same kind adds.

An empty wrapper is the cheapest possible decorator. prometheus_client is also measured on coroutines, because programs
use it there: its decorators end when the coroutine has been created, so they cost less but do not measure the work.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from typing import Any

from benchmarks._measure import Effort, Run, measure, repeat_await, repeat_iteration, repeat_statement, scale
from benchmarks._peers import make_contenders
from benchmarks._rows import OURS, THEIRS, Row, Target, make_rows

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


def _repeat_call(function: Callable[[], Any]) -> Run:
    return repeat_statement("f()", f=function)


def _bare() -> Mapping[str, Run]:
    coroutine = repeat_await(_coroutine)
    return {
        TIME: coroutine,
        EXCEPTIONS: coroutine,
        PROGRESS: coroutine,
        CALLS: coroutine,
        FUNCTION: _repeat_call(_function),
        GENERATOR: repeat_iteration(_generator),
    }


def _empty_wrapper() -> Mapping[str, Run]:
    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        return await _coroutine(*args, **kwargs)

    def function(*args: Any, **kwargs: Any) -> Any:
        return _function(*args, **kwargs)

    async def generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        async for item in _generator(*args, **kwargs):
            yield item

    wrapped = repeat_await(functools.wraps(_coroutine)(coroutine))
    return {
        TIME: wrapped,
        EXCEPTIONS: wrapped,
        PROGRESS: wrapped,
        CALLS: wrapped,
        FUNCTION: _repeat_call(functools.wraps(_function)(function)),
        GENERATOR: repeat_iteration(functools.wraps(_generator)(generator)),
    }


def _asyncmetrics() -> Mapping[str, Run]:
    from asyncmetrics import CallMetrics, CollectorRegistry, Counter, Gauge, Histogram

    to: dict[str, Any] = {"registry": CollectorRegistry()}
    histogram = Histogram("latency", "Latency.", **to)
    return {
        TIME: repeat_await(histogram.time()(_coroutine)),
        EXCEPTIONS: repeat_await(Counter("faults", "Faults.", **to).count_exceptions()(_coroutine)),
        PROGRESS: repeat_await(Gauge("running", "Running.", **to).track_inprogress()(_coroutine)),
        CALLS: repeat_await(CallMetrics("jobs", "Jobs.", **to)(_coroutine)),
        FUNCTION: _repeat_call(histogram.time()(_function)),
        GENERATOR: repeat_iteration(histogram.time()(_generator)),
    }


def _prometheus_async() -> Mapping[str, Run]:
    from prometheus_async.aio import count_exceptions, time, track_inprogress
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

    to: dict[str, Any] = {"registry": CollectorRegistry()}
    return {
        TIME: repeat_await(time(Histogram("latency", "Latency.", **to))(_coroutine)),
        EXCEPTIONS: repeat_await(count_exceptions(Counter("faults", "Faults.", **to))(_coroutine)),
        PROGRESS: repeat_await(track_inprogress(Gauge("running", "Running.", **to))(_coroutine)),
    }


def _prometheus_client() -> Mapping[str, Run]:
    from prometheus_client import CollectorRegistry, Histogram

    histogram = Histogram("latency", "Latency.", registry=CollectorRegistry())
    return {FUNCTION: _repeat_call(histogram.time()(_function))}


def _prometheus_client_on_coroutines() -> Mapping[str, Run]:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

    to: dict[str, Any] = {"registry": CollectorRegistry()}
    return {
        TIME: repeat_await(Histogram("latency", "Latency.", **to).time()(_coroutine)),
        EXCEPTIONS: repeat_await(Counter("faults", "Faults.", **to).count_exceptions()(_coroutine)),
        PROGRESS: repeat_await(Gauge("running", "Running.", **to).track_inprogress()(_coroutine)),
    }


MAKERS = {
    BARE: _bare,
    WRAPPER: _empty_wrapper,
    OURS: _asyncmetrics,
    "prometheus-async": _prometheus_async,
    THEIRS: _prometheus_client,
    f"{THEIRS} (creation only)": _prometheus_client_on_coroutines,
}


def _divide_by_wrapper(figures: Mapping[str, float], contender: str) -> float | None:
    wrapper = figures[WRAPPER] - figures[BARE]
    return (figures[contender] - figures[BARE]) / wrapper if contender not in {BARE, WRAPPER} and wrapper > 0 else None


def run(effort: Effort) -> Iterator[Row]:
    """Yield nanoseconds per call."""
    for discipline, contenders in make_contenders(MAKERS).items():
        outcomes = scale(measure(contenders, effort), 1e9)
        yield from make_rows(discipline, "ns", outcomes, _divide_by_wrapper, TARGETS.get(discipline))
