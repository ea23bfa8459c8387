"""The queues of `asyncio` and of `queue`: what is put into them, what is taken, and how long both wait.

*Theory of operation.*

1. The queue gets a class of its own. All items go through its ``_put`` and ``_get``, which Python documents as the
   methods to override: here each item is recorded.
2. A call that may wait is remembered with the time of its beginning, by its task or thread. ``_put`` and ``_get`` run
   in the same task or thread, and take the time from there. A call that gives up takes it itself.
3. An item that is put or taken by a call that is not remembered has not waited: 0 s.
"""

from __future__ import annotations

import asyncio
import queue
from asyncio import current_task
from collections.abc import Callable, Sized
from inspect import iscoroutinefunction
from threading import get_ident
from time import perf_counter
from typing import Any, NamedTuple, TypeAlias, final

from asyncmetrics.runtime.item_times import FifoTimes, ItemTimes, LifoTimes, NoTimes, PriorityTimes
from asyncmetrics.runtime.objects import Instruments, ObjectOptions, derive_class
from asyncmetrics.runtime.queues import QUEUES, QueueNumbers, QueueSeries

__all__ = ("INTEGRATION",)

Pending: TypeAlias = dict[object, float]


class _Kind(NamedTuple):
    """What differs between the queues of two modules."""

    items: str
    get_length: Callable[[Any], int]
    get_max: Callable[[Any], int]
    get_unfinished: Callable[[Any], int]
    find_caller: Callable[[], object]


_ASYNCIO = _Kind(
    "_queue", lambda one: one.qsize(), lambda one: one.maxsize, lambda one: one._unfinished_tasks, current_task
)
# Not `qsize`, which takes the lock of the queue: a thread may hold it.
_THREADS = _Kind(
    "queue", lambda one: one._qsize(), lambda one: one.maxsize, lambda one: one.unfinished_tasks, get_ident
)

_ORDERS: tuple[tuple[type, Callable[[Sized], ItemTimes]], ...] = (
    (asyncio.PriorityQueue, PriorityTimes),
    (queue.PriorityQueue, PriorityTimes),
    (asyncio.LifoQueue, LifoTimes),
    (queue.LifoQueue, LifoTimes),
    (asyncio.Queue, FifoTimes),
    (queue.Queue, FifoTimes),
)


def _make_times(one: Any, items: str) -> ItemTimes:
    """Return the times for the order of a queue, which is not known if a program has overridden its methods."""
    kind = type(one)
    base, make = next((base, make) for base, make in _ORDERS if isinstance(one, base))
    is_plain = all(getattr(kind, name) is getattr(base, name) for name in ("_init", "_put", "_get"))
    return make(getattr(one, items)) if is_plain else NoTimes()


def _begin(one: Any, options: ObjectOptions) -> Callable[[Any], object]:
    is_asyncio = isinstance(one, asyncio.Queue)
    kind = _ASYNCIO if is_asyncio else _THREADS
    queues = QUEUES.get(options["registry"], options["namespace"])

    def read(target: Any) -> QueueNumbers:
        maximum = kind.get_max(target)
        return QueueNumbers(
            kind.get_length(target), maximum if maximum > 0 else float("inf"), kind.get_unfinished(target)
        )

    times = _make_times(one, kind.items)
    series = queues.add(one, type(one).__name__, read, options["name"])
    hooks = _Hooks(type(one), kind, series, times)
    members = hooks.make_async_members() if is_asyncio else hooks.make_blocking_members(has_limit=one.maxsize > 0)
    return derive_class(one, queues, members)


INTEGRATION = Instruments(_begin)


@final
class _Hooks:
    """The methods of the class of one queue, whose class was ``former``."""

    def __init__(self, former: Any, kind: _Kind, series: QueueSeries, times: ItemTimes) -> None:
        self._former = former
        self._kind = kind
        self._series = series
        self._times = times
        self._puts: Pending = {}
        self._gets: Pending = {}

    def make_async_members(self) -> dict[str, Any]:
        """Return the methods for a queue of asyncio."""
        members = self._make_item_members()
        former = self._former
        if former.put is asyncio.Queue.put and former.get is asyncio.Queue.get:
            return members | self._make_plain_members()
        if iscoroutinefunction(former.put):
            members["put"] = self._measure_async(former.put, former.full, self._puts, self._series.observe_put)
        if iscoroutinefunction(former.get):
            members["get"] = self._measure_async(former.get, former.empty, self._gets, self._series.observe_get)
        return members

    def make_blocking_members(self, *, has_limit: bool) -> dict[str, Any]:
        """Return the methods for a queue of threads: ``put(item, block)`` and ``get(block)``."""
        members = self._make_item_members()
        former = self._former
        if has_limit:  # else no call of `put` waits
            members["put"] = _measure_blocking(former.put, 1, self._puts, self._series.observe_put)
        members["get"] = _measure_blocking(former.get, 0, self._gets, self._series.observe_get)
        return members

    def _make_item_members(self) -> dict[str, Any]:
        former_put, former_get = self._former._put, self._former._get
        push, pop, find_caller = self._times.push, self._times.pop, self._kind.find_caller
        puts, gets, series = self._puts, self._gets, self._series
        queues, key = series.queues, series.key

        def _put(one: Any, item: Any) -> None:
            former_put(one, item)
            try:
                now = perf_counter()
                push(item, now)
                if series.is_open:  # the statements of `observe_put`, without the call: benchmarks/runtime.py
                    queues.puts.find(key).observe(now - puts.pop(find_caller(), now) if puts else 0.0)
            except Exception as error:  # noqa: BLE001  # an item that is put must not look lost
                series.count_failure(error)

        def _get(one: Any) -> Any:
            item = former_get(one)
            try:
                now = perf_counter()
                put_at = pop(item)
                if series.is_open:
                    if put_at:
                        queues.items.find(key).observe(now - put_at)
                    queues.gets.find(key).observe(now - gets.pop(find_caller(), now) if gets else 0.0)
            except Exception as error:  # noqa: BLE001  # the item must not be lost
                series.count_failure(error)
            return item

        return {"_put": _put, "_get": _get}

    def _make_plain_members(self) -> dict[str, Any]:
        """Return the methods of asyncio's own classes, which are the ``nowait`` methods where no wait is needed."""
        wait_to_put = self._measure_async(self._former.put, self._former.full, self._puts, self._series.observe_put)
        wait_to_get = self._measure_async(self._former.get, self._former.empty, self._gets, self._series.observe_get)

        async def put(one: Any, item: Any) -> Any:
            return await wait_to_put(one, item) if one.full() else one.put_nowait(item)

        async def get(one: Any) -> Any:
            return await wait_to_get(one) if one.empty() else one.get_nowait()

        return {"put": put, "get": get}

    def _measure_async(
        self,
        call: Callable[..., Any],
        must_wait: Callable[[Any], bool],
        pending: Pending,
        observe: Callable[[float], object],
    ) -> Callable[..., Any]:
        async def measured(one: Any, *args: Any, **kwargs: Any) -> Any:
            if not must_wait(one):
                return await call(one, *args, **kwargs)
            caller = current_task()
            pending[caller] = perf_counter()
            try:
                return await call(one, *args, **kwargs)
            except BaseException:
                _give_up(pending, caller, observe)
                raise

        return measured


def _measure_blocking(
    call: Callable[..., Any], position: int, pending: Pending, observe: Callable[[float], object]
) -> Callable[..., Any]:
    """Return the wrapper of a method whose argument ``block`` is at ``position``."""

    def measured(one: Any, *args: Any, **kwargs: Any) -> Any:
        caller = get_ident()
        pending[caller] = perf_counter()
        try:
            return call(one, *args, **kwargs)
        except BaseException:
            if kwargs.get("block", args[position] if len(args) > position else True):
                _give_up(pending, caller, observe)
            else:
                pending.pop(caller, None)
            raise

    return measured


def _give_up(pending: Pending, caller: object, observe: Callable[[float], object]) -> None:
    started = pending.pop(caller, None)
    if started is not None:  # else the item was put or taken
        observe(perf_counter() - started)
