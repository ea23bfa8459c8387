"""`CheckCall`: one call of a check, which may block, hang, ignore its cancellation, or fail.

*Rules.*

1. Wait for a call until its timeout, and no longer: neither a thread nor a task can be stopped for certain.
2. Make no further call of a check while one of its calls runs, so that hanging calls do not pile up.

*Theory of operation.*

1. `CheckCall.run` starts a task of its own (`LoopCall`). A function that is declared with ``async`` is called there.
   Any other function is called in a daemon thread, which does not keep the program from ending.
2. The thread hands the result to the loop. If that is an awaitable, the task awaits it.
3. At the timeout the task is cancelled once. ``is_running`` stays True until the task and the thread have ended.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from functools import partial
from typing import TypeAlias, final

from anyio import CancelScope, Event

from asyncmetrics.asking import close_awaitable, is_async_function
from asyncmetrics.errors import LoopError
from asyncmetrics.loops import HomeLoop, LoopCall, find_home
from asyncmetrics.metrics.totals import TOTALS
from asyncmetrics.threads import run_in_threads

__all__ = ("Check", "CheckCall")

Check: TypeAlias = Callable[[], object]
"""Raises, or returns False, if something does not work. What it returns may be an awaitable of that."""


@final
class CheckCall:
    """One call of ``check``."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._call = LoopCall(self._run)
        self._has_started = False
        self._is_in_thread = False
        self._result: object = None

    @property
    def is_running(self) -> bool:
        """Whether the call has begun, and its task or its thread has not ended."""
        return self._is_in_thread or (self._has_started and not self._call.has_ended)

    async def run(self, seconds: float) -> bool | BaseException:
        """Call the check, and return whether it succeeds, what it raises, or a `TimeoutError` after ``seconds``."""
        self._has_started = True
        self._call.start(None)
        try:
            outcome = await self._call.wait_async(seconds)
        finally:
            self._call.cancel()
        if self._call.is_cancelled:
            return TimeoutError(f"no result within {seconds:g} s")
        return outcome

    async def wait(self, seconds: float) -> None:
        """Wait for the end of the task of a cancelled call, at most for ``seconds``. Do not wait for a thread."""
        if self._has_started:
            with CancelScope(shield=True):
                await self._call.wait_async(seconds)

    async def _run(self) -> bool:
        TOTALS.set(None)  # the request that has added the check does not make its calls
        result = self._check() if is_async_function(self._check) else await self._call_in_thread()
        if isinstance(result, Awaitable):
            result = await result
        return result is not False

    async def _call_in_thread(self) -> object:
        home, ended, context = find_home(), Event(), copy_context()
        sniffio = sys.modules.get("sniffio")
        if sniffio is not None:  # the name of the library that runs this loop, which does not run in the thread
            context.run(sniffio.current_async_library_cvar.set, None)
        self._is_in_thread = True
        try:
            run_in_threads([partial(self._work, context, home, ended)], "asyncmetrics-health-check")
        except RuntimeError:  # the system has no thread left
            self._is_in_thread = False
            raise
        try:
            await ended.wait()
        except BaseException:
            close_awaitable(self._result)
            raise
        if isinstance(self._result, BaseException):
            raise self._result
        return self._result

    def _work(self, context: Context, home: HomeLoop | None, ended: Event) -> None:
        """Call the check in this thread, and hand the result to the loop, which may have ended."""
        result: object
        try:
            result = context.run(self._check)
        except BaseException as error:  # noqa: BLE001  # of any kind: the check has failed
            result = error
        self._is_in_thread = False
        try:
            if home is not None:
                home.call_soon(partial(self._take, result, ended))
        except LoopError:
            close_awaitable(result)

    def _take(self, result: object, ended: Event) -> None:
        if self._call.is_cancelled:
            close_awaitable(result)
        else:
            self._result = result
            ended.set()
