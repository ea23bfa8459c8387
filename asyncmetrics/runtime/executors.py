"""The executors of `concurrent.futures`: their threads or processes, and the calls that are submitted to them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

from asyncmetrics.runtime.functions import name_function
from asyncmetrics.runtime.objects import Instruments, ObjectOptions, derive_class
from asyncmetrics.runtime.remote_calls import RemoteCall, listen
from asyncmetrics.runtime.thread_pools import THREAD_POOLS, MeasuredCall, ThreadPoolNumbers, ThreadPoolSeries

__all__ = ("INTEGRATION",)


def _begin(executor: Any, options: ObjectOptions) -> Callable[[Any], object]:
    pools = THREAD_POOLS.get(options["registry"], options["namespace"])
    former = type(executor)
    if isinstance(executor, ThreadPoolExecutor):
        series = pools.add(executor, lambda one: _read_threads(one, series), options["name"])
        submit = _measure_threads(former, series)
    else:
        series = pools.add(executor, _read_processes, options["name"])
        submit = _measure_processes(former, series)
    return derive_class(executor, pools, {"submit": submit})


INTEGRATION = Instruments(_begin)


# Both look the method up at each call: another tool may patch it meanwhile.
def _measure_threads(former: Any, series: ThreadPoolSeries) -> Callable[..., Any]:
    def submit(executor: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return former.submit(executor, MeasuredCall(fn, series, perf_counter()), *args, **kwargs)

    return submit


def _measure_processes(former: Any, series: ThreadPoolSeries) -> Callable[..., Any]:
    key = listen(series)

    def submit(executor: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return former.submit(executor, RemoteCall(fn, key, name_function(fn), perf_counter()), *args, **kwargs)

    return submit


def _read_threads(executor: Any, series: ThreadPoolSeries) -> ThreadPoolNumbers:
    busy = len(series.running)
    threads = sum(thread.is_alive() for thread in list(executor._threads))
    ends = int(executor._shutdown)  # one None in the queue, which the threads hand on to each other
    pending = max(0, executor._work_queue.qsize() - ends)
    return ThreadPoolNumbers(busy, executor._max_workers, pending, max(0, threads - busy))


def _read_processes(executor: Any) -> ThreadPoolNumbers:
    pending = len(executor._pending_work_items or ())  # those that run are among them
    # None after the shutdown; a pool that is broken keeps the processes that it has killed.
    processes = 0 if executor._broken else len(executor._processes or ())
    busy = min(pending, processes)
    return ThreadPoolNumbers(busy, executor._max_workers, pending - busy, processes - busy)
