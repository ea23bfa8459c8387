"""The limiters of anyio and trio: the tokens in use, the wait for one, and the functions that threads run with one.

*Theory of operation.*

1. A limiter of anyio gets a class of its own: it has ``__slots__``, so no attribute. trio allows no class derived from
   its limiter, which gets an attribute.
2. While a limiter is measured, the functions that run something in a thread are patched. If their limiter is measured,
   they get a `MeasuredCall` of the function.
3. On trio, those of anyio call those of trio, which see a function of anyio then: this call is measured already.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from threading import RLock
from time import perf_counter
from types import ModuleType
from typing import Any

from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.patching import Patch, on_import, refer
from asyncmetrics.runtime.objects import Instruments, ObjectOptions, derive_class
from asyncmetrics.runtime.thread_pools import (
    THREAD_POOLS,
    MeasuredCall,
    ThreadPoolNumbers,
    ThreadPools,
    ThreadPoolSeries,
)

__all__ = ("INTEGRATION",)

_BACKENDS = {
    "anyio._backends._asyncio": "AsyncIOBackend",
    "anyio._backends._trio": "TrioBackend",
}
_ASYNCIO_LIMITER = ("anyio._backends._asyncio", "CapacityLimiter")

_SERIES: dict[int, ThreadPoolSeries] = {}
"""The series of the limiters that are measured, by their ids."""
_lock = RLock()
_undo = ExitStack()


def _begin(limiter: Any, options: ObjectOptions) -> Callable[[Any], object]:
    pools = THREAD_POOLS.get(options["registry"], options["namespace"])
    series = pools.add(limiter, _read, options["name"])
    if type(limiter).__module__ == "trio":
        end = _hook_trio(limiter, series, pools)
    else:
        end = derive_class(limiter, pools, _make_members(type(limiter), series))
    with _lock:
        if not _SERIES:
            _patch()
        _SERIES[id(limiter)] = series
    return end


def _forget(key: int) -> None:
    with _lock:
        _SERIES.pop(key, None)
        if not _SERIES:
            _undo.close()


INTEGRATION = Instruments(_begin, forget=_forget)


def _read(limiter: Any) -> ThreadPoolNumbers:
    numbers = limiter.statistics()
    return ThreadPoolNumbers(numbers.borrowed_tokens, numbers.total_tokens, numbers.tasks_waiting)


def _measure(acquire: Callable[..., Any], series: ThreadPoolSeries) -> Callable[..., Any]:
    async def measured(*args: Any) -> Any:
        started = perf_counter()
        try:
            return await acquire(*args)
        finally:
            series.observe_wait(perf_counter() - started)

    return measured


def _make_members(kind: Any, series: ThreadPoolSeries) -> dict[str, Any]:
    # asyncio's calls this one from the other two; those of anyio on trio, and outside of a loop, call another limiter.
    names = ["acquire_on_behalf_of"]
    if (kind.__module__, kind.__qualname__) != _ASYNCIO_LIMITER:
        names += ["acquire", "__aenter__"]
    return {name: _measure(getattr(kind, name), series) for name in names}


def _hook_trio(limiter: Any, series: ThreadPoolSeries, pools: ThreadPools) -> Callable[[Any], object]:
    acquire = type(limiter).acquire_on_behalf_of

    async def measured(*args: Any) -> Any:
        started = perf_counter()
        try:
            return await acquire(get(), *args)
        finally:
            series.observe_wait(perf_counter() - started)

    get = refer(limiter)
    limiter.acquire_on_behalf_of = measured

    def end(target: Any) -> None:
        if vars(target).get("acquire_on_behalf_of") is measured:
            del target.acquire_on_behalf_of
        pools.remove(target)

    return end


def _patch() -> None:
    """Patch the functions that run something in a thread, now or when their module is imported."""
    for name in _BACKENDS:
        _undo.callback(on_import(name, _patch_backend))
    _undo.callback(on_import("trio.to_thread", _patch_trio))


def _patch_backend(module: ModuleType) -> None:
    _apply(Patch(getattr(module, _BACKENDS[module.__name__]), "run_sync_in_worker_thread", _wrap_backend))


def _patch_trio(module: ModuleType) -> None:
    _apply(Patch(module, "run_sync", _wrap_trio))


def _apply(patch: Patch) -> None:
    patch.apply()
    _undo.callback(patch.undo)


def _wrap_backend(run: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(run)  # no coroutine function: each step of the call would go through one more coroutine
    def measured(backend: Any, func: Any, args: Any, abandon_on_cancel: Any = False, limiter: Any = None) -> Any:
        func = _choose(func, limiter, backend.current_default_thread_limiter)
        return run(backend, func, args, abandon_on_cancel, limiter)

    return measured


def _wrap_trio(run: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(run)
    async def measured(sync_fn: Any, *args: Any, limiter: Any = None, **kwargs: Any) -> Any:
        if getattr(sync_fn, "__module__", None) != "anyio._backends._trio":
            default = sys.modules["trio"].to_thread.current_default_thread_limiter
            sync_fn = _choose(sync_fn, limiter, default)
        return await run(sync_fn, *args, limiter=limiter, **kwargs)

    return measured


def _choose(function: Any, limiter: Any, get_default: Callable[[], Any]) -> Any:
    """Return what to run instead of ``function``: itself if its limiter is not measured."""
    try:
        limiter = get_default() if limiter is None else limiter
        # On trio, anyio's limiter has one of trio, which may be the one that is measured.
        series = _SERIES.get(id(limiter)) or _SERIES.get(id(getattr(limiter, "_CapacityLimiter__original", None)))
    except Exception as error:  # noqa: BLE001  # the function itself raises what is wrong
        pass_interruption(error)
        return function
    return function if series is None else MeasuredCall(function, series, None)
