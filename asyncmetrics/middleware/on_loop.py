"""The time that the event loop spends on a request: the steps of its coroutine and of the asyncio tasks that it starts.

While one request runs, no other one does. So this time says which route keeps the loop busy. The duration of a request
does not: it has all the waiting in it.

*Theory of operation.*

1. `OnLoopApp` is called with a request that the middleware measures. It puts an `OnLoopTime` into the scope, sets
   ``_CURRENT``, and runs the application's coroutine in `_Steps`, which adds up the time of each step.
2. The first request of an asyncio loop puts `_TaskFactory` into it. Within a request, it gives each new task `_Steps`
   around its coroutine; other tasks stay as they are.
3. The application returns, and the exchange takes the time out of the scope. Tasks that still run add nothing more.
4. The lifespan ends, or `MetricsMiddleware.release` is called: the last `OnLoopApp` of the loop takes the factory
   back. Where another tool has set a factory around ours, ours stays and only passes calls on. Without any of this,
   the factory stays until the loop is gone.

Trio has no task factory: the tasks that a request starts there do not count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from time import perf_counter
from types import CoroutineType, TracebackType
from typing import Any, final
from weakref import WeakKeyDictionary, ref

from asyncmetrics.middleware.scope import MEASURED_KEY, ON_LOOP_KEY
from asyncmetrics.typing import ASGIApp, Receive, Scope, Send

__all__ = ("OnLoopApp", "OnLoopTime")


@final
class OnLoopTime:
    """The time of one request."""

    __slots__ = ("is_counting", "loop", "seconds")

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self.loop = loop
        self.seconds = 0.0
        self.is_counting = False
        """Whether a step runs at this moment: a task that starts in it at once is a part of it."""

    def end(self) -> float:
        """Return the time, and measure no more steps."""
        self.is_counting = True
        return self.seconds


_CURRENT: ContextVar[OnLoopTime | None] = ContextVar("asyncmetrics_on_loop", default=None)


@final
class _Steps:
    """A coroutine that adds the time of its steps to ``time``. It has the attributes of the one that it runs."""

    __slots__ = ("__weakref__", "_inner", "_send", "_time")

    def __init__(self, inner: Any, time: OnLoopTime) -> None:
        self._inner = inner
        self._send = inner.send
        self._time = time

    def __await__(self) -> _Steps:
        return self

    def __iter__(self) -> _Steps:
        return self

    def __next__(self) -> Any:
        """Run one step, as `send` does; ``await`` calls this instead (benchmarks/middleware.py)."""
        time = self._time
        if time.is_counting:
            return self._send(None)
        time.is_counting = True
        started = perf_counter()
        try:
            return self._send(None)
        finally:
            time.seconds += perf_counter() - started
            time.is_counting = False

    def send(self, value: Any) -> Any:
        """Run one step."""
        return self._run(self._send, value)

    def throw(
        self,
        kind: type[BaseException] | BaseException,
        value: BaseException | object = None,
        traceback: TracebackType | None = None,
    ) -> Any:
        """Run one step that begins with an exception."""
        error = kind if isinstance(kind, BaseException) else value
        if not isinstance(error, BaseException):
            error = kind() if value is None else kind(value)  # type: ignore[operator]  # it is a class here
        if traceback is not None:
            error = error.with_traceback(traceback)
        return self._run(self._inner.throw, error)  # Python 3.12 warns of three arguments

    def _run(self, step: Callable[[Any], Any], value: Any) -> Any:
        time = self._time
        if time.is_counting:
            return step(value)
        time.is_counting = True
        started = perf_counter()
        try:
            return step(value)
        finally:
            time.seconds += perf_counter() - started
            time.is_counting = False

    def close(self) -> None:
        """Close the coroutine."""
        self._inner.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)  # as ``cr_frame``, of which stacks are made, or ``__qualname__``


@final
class OnLoopApp:
    """Measure the time on the loop of each request that the middleware around measures, and call ``app``."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app  # a search for routes follows this attribute
        self._get_loop: Callable[[], asyncio.AbstractEventLoop | None] = _get_none

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of the server, as ASGI 3.0 specifies."""
        kind = scope["type"]
        if kind == "lifespan":
            try:
                await self.app(scope, receive, send)
            finally:
                self._leave(asyncio._get_running_loop())
        elif kind != "http" or MEASURED_KEY not in scope or ON_LOOP_KEY in scope:
            await self.app(scope, receive, send)
        else:
            scope[ON_LOOP_KEY] = time = OnLoopTime(self._join())
            token = _CURRENT.set(time)
            try:
                await _Steps(_to_coroutine(self.app(scope, receive, send)), time)
            finally:
                try:
                    _CURRENT.reset(token)
                except ValueError:  # a server ran the coroutine in another context, which has nothing to undo
                    pass

    def _join(self) -> asyncio.AbstractEventLoop | None:
        """Return the running loop of asyncio, which has the task factory from now on."""
        loop = asyncio._get_running_loop()
        if loop is not self._get_loop() and loop is not None:
            factory = _FACTORIES.get(loop)
            if factory is None:
                factory = _FACTORIES[loop] = _TaskFactory(loop)
            factory.users.add(self)
            self._get_loop = ref(loop)
        return loop

    def release(self) -> None:
        """Take the factories of all loops back, when the application is no longer measured."""
        for loop in list(_FACTORIES):
            self._leave(loop)

    def _leave(self, loop: asyncio.AbstractEventLoop | None) -> None:
        factory = None if loop is None else _FACTORIES.get(loop)
        if loop is None or factory is None or self not in factory.users:
            return
        self._get_loop = _get_none
        factory.users.discard(self)
        if not factory.users:
            del _FACTORIES[loop]
            factory.remove(loop)


@final
class _TaskFactory:
    """Create the tasks of a loop by the factory that was there, with `_Steps` around those of a request."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.users: set[OnLoopApp] = set()
        self._former: Any = loop.get_task_factory()
        self._is_measuring = True
        loop.set_task_factory(self)

    def __call__(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
        """Return a new task; the options depend on the version of Python and on the loop."""
        if self._is_measuring:
            time = _CURRENT.get()
            # A function that another thread calls on this loop has the context of the request, but not its loop.
            if time is not None and time.loop is loop:
                coro = _Steps(_to_coroutine(coro), time)
        if self._former is None:
            return asyncio.Task(coro, loop=loop, **options)
        return self._former(loop, coro, **options)

    def remove(self, loop: asyncio.AbstractEventLoop) -> None:
        """Restore the former factory, unless another one has been set since then."""
        self._is_measuring = False
        if loop.get_task_factory() is self:
            loop.set_task_factory(self._former)


_FACTORIES: WeakKeyDictionary[asyncio.AbstractEventLoop, _TaskFactory] = WeakKeyDictionary()


def _get_none() -> None:
    """Be the weak reference to no loop."""


def _to_coroutine(awaitable: Awaitable[Any]) -> Any:
    """Return a coroutine, which any other awaitable is wrapped into."""
    if type(awaitable) is CoroutineType or asyncio.iscoroutine(awaitable):
        return awaitable
    return _wait(awaitable)


async def _wait(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
