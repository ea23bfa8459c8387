"""The event loop that a collector or a gauge function belongs to, and running it there from any thread.

*Terms.* A *home loop* is the asyncio loop or the trio run whose locks, queues and connections some code uses: the one
that ran when a program registered the code, or the one that the program passed as ``loop=``.

*Rules.*

1. Run async code that has a home loop there and nowhere else. If the loop has ended, raise `LoopError`.
2. Refer to a loop weakly, so that a registry does not keep an ended loop and all its objects in memory.
3. Import neither asyncio nor trio: a program that uses neither must not pay for them, and a loop that was not imported
   does not run.

*Theory of operation.* A `LoopCall` goes through these states:

1. *Made*: nothing runs.
2. *Started* by `LoopCall.start`. If its loop is the running one, its task exists. Otherwise the loop has been asked to
   make the task, which it may do late if it is busy.
3. *Cancelled*, perhaps: at most once, since a second cancellation would interrupt the clean-up after the first. A call
   whose task does not exist yet never begins.
4. *Ended*: it has an ``outcome``, and each function that was passed to `LoopCall.on_end` has been called. This may
   never come if the loop blocks or stops, so every wait for it needs a limit.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from contextvars import Context, copy_context
from threading import Event, current_thread, main_thread
from typing import Any, Generic, TypeVar, final
from weakref import ref

from asyncmetrics.errors import DefinitionError, LoopError, show
from asyncmetrics.interruptions import is_interruption, pass_interruption

__all__ = (
    "RUNNING",
    "HomeLoop",
    "LoopCall",
    "detach",
    "find_home",
    "is_for_program",
    "is_task_cancelled",
    "is_trio_running",
    "make_home",
    "pause",
)

T = TypeVar("T")

RUNNING = "running"
"""The default of ``loop=``: the loop that runs at the call, if one does."""

_PAUSED = "is not running"
_TASKS: set[Any] = set()  # an asyncio loop holds only weak references to its tasks
_ADVICE = "register it, or set the function, again on a running loop; or pass loop=None to use the loop of each scrape"


@final
class HomeLoop:
    """An asyncio loop or a trio run, which may have ended by now."""

    __slots__ = ("_get", "_is_trio", "_process")

    def __init__(self, loop: object, *, is_trio: bool) -> None:
        self._is_trio = is_trio
        self._process = os.getpid()
        try:
            self._get: Callable[[], Any] = ref(loop)
        except TypeError as error:  # a loop of another library that allows no weak references
            pass_interruption(error)
            self._get = lambda: loop

    def is_running_here(self) -> bool:
        """Return whether this thread runs the loop at this moment."""
        loop = self._get()
        return loop is not None and loop is _find_running()[0]

    def find_problem(self) -> str:
        """Return why the loop cannot run anything, or an empty text."""
        loop = self._get()
        if loop is None:
            return "has ended"
        if self._process != os.getpid():  # a copy, which no thread runs
            return "runs in the process that has forked this one"
        if self._is_trio:
            try:
                loop.run_sync_soon(_do_nothing, idempotent=True)
            except RuntimeError as error:
                pass_interruption(error)
                return "has ended"
            return ""
        if loop.is_closed():
            return "is closed"
        return "" if loop.is_running() else _PAUSED

    def has_ended(self) -> bool:
        """Return whether the loop will not run again; one of asyncio that only pauses may run again."""
        return self.find_problem() not in ("", _PAUSED)

    def call_soon(self, function: Callable[[], object], context: Context | None = None) -> None:
        """Call ``function`` on the loop, from any thread. Raises `LoopError` if the loop has ended or is stopped."""
        context = context or copy_context()
        problem = self.find_problem()
        loop = self._get()
        try:
            if problem or loop is None:
                raise LoopError(f"its event loop {problem or 'has ended'}: {_ADVICE}")
            if self._is_trio:
                loop.run_sync_soon(context.run, function)
            else:
                loop.call_soon_threadsafe(function, context=context)
        except LoopError:
            raise
        except RuntimeError as error:  # the loop has ended since then
            pass_interruption(error)
            raise LoopError(f"its event loop has ended: {_ADVICE}") from error


def _do_nothing() -> None:
    """Be called by a trio run that has not ended."""


def _find_running() -> tuple[object, bool]:
    """Return the loop that this thread runs, or None, and whether it is trio's."""
    trio = getattr(sys.modules.get("trio"), "lowlevel", None)
    if trio is not None and trio.in_trio_run():
        return trio.current_trio_token(), True
    # `asyncio` has a public function that raises where no loop runs, which takes ten times as long.
    get = getattr(sys.modules.get("asyncio.events"), "_get_running_loop", None)
    return get and get(), False


def is_trio_running() -> bool:
    """Return whether this thread runs trio at this moment."""
    return _find_running()[1]


def find_home() -> HomeLoop | None:
    """Return the loop that this thread runs at this moment, if it runs one."""
    loop, is_trio = _find_running()
    return None if loop is None else HomeLoop(loop, is_trio=is_trio)


def make_home(loop: object) -> HomeLoop | None:
    """Return the home loop that ``loop=`` means: a loop, `RUNNING`, a home loop, or None for no home loop.

    Raises `DefinitionError` for anything else.
    """
    if isinstance(loop, str) and loop == RUNNING:
        return find_home()
    if loop is None or isinstance(loop, HomeLoop):
        return loop
    asyncio, trio = sys.modules.get("asyncio"), getattr(sys.modules.get("trio"), "lowlevel", None)
    for module, name, is_trio in ((asyncio, "AbstractEventLoop", False), (trio, "TrioToken", True)):
        if isinstance(loop, getattr(module, name, ())):
            return HomeLoop(loop, is_trio=is_trio)
    raise DefinitionError(
        "loop",
        "expected an asyncio event loop, a trio token (trio.lowlevel.current_trio_token()), 'running' or None, "
        f"got {show(loop)}",
    )


@final
class LoopCall(Generic[T]):
    """A call of async code on a loop, with the ``outcome`` that it ends with: a value, or the exception raised.

    ``make`` is called on the loop and returns what is awaited there.
    """

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self.outcome: T | BaseException | None = None
        self.is_cancelled = False
        self.has_begun = False
        self._make = make
        self._home: HomeLoop | None = None
        self._cancel_task: Callable[[], object] | None = None
        self._listeners: list[Callable[[], object]] = []
        self._ended = Event()

    @property
    def has_ended(self) -> bool:
        """Whether there is an outcome."""
        return self._ended.is_set()

    def is_lost(self) -> bool:
        """Return whether the call will never end, as its loop has ended before it."""
        return not self.has_ended and self._home is not None and bool(self._home.find_problem())

    def on_end(self, listener: Callable[[], object]) -> None:
        """Call ``listener`` at the end, in any thread; perhaps twice if the call ends at this moment."""
        self._listeners.append(listener)
        if self.has_ended:
            listener()

    def start(self, home: HomeLoop | None) -> LoopCall[T]:
        """Run on ``home``, or on the running loop if that is None, and return this call.

        Raises `LoopError` if ``home`` has ended.
        """
        self._home = home or find_home()
        if self.is_cancelled:  # by another thread
            self._end()
        elif home is None or home.is_running_here():
            self._cancel_task = detach(self._run, self._end)
        else:
            context = copy_context()
            sniffio = sys.modules.get("sniffio")
            if sniffio is not None:  # the name of the caller's library; the home loop has its own
                context.run(sniffio.current_async_library_cvar.set, None)
            home.call_soon(self._begin, context)
        return self

    def _begin(self) -> None:
        if self.is_cancelled:
            self._end()
            return
        try:
            self._cancel_task = detach(self._run, self._end)
        except RuntimeError as error:  # trio starts no task at the end of its run
            pass_interruption(error)
            self.fail(error)

    async def _run(self) -> None:
        self.has_begun = True
        try:
            self.outcome = await self._make()
        except BaseException as error:
            self.outcome = error
            if is_for_program(error):
                raise

    def cancel(self) -> None:
        """Cancel the code once, from any thread; do not wait for its end."""
        if self.is_cancelled or self.has_ended:
            return
        self.is_cancelled = True
        if self._home is None or self._home.is_running_here():
            self._cancel_now()
        else:
            _call_soon(self._home, self._cancel_now)

    def _cancel_now(self) -> None:
        if self._cancel_task is not None and not self.has_ended:
            self._cancel_task()

    def fail(self, error: BaseException) -> None:
        """End the call with ``error``, unless it has ended."""
        if not self.has_ended:
            self.outcome = error
            self._end()

    def _end(self) -> None:
        self._ended.set()
        for listener in list(self._listeners):
            listener()

    def wait(self, seconds: float | None) -> T | BaseException:
        """Wait in this thread for the end, and return the outcome, or a `TimeoutError` after ``seconds``."""
        if not self._ended.wait(seconds):
            return _make_timeout(seconds)
        return self._get_outcome()

    async def wait_async(self, seconds: float | None) -> T | BaseException:
        """Wait on the running loop for the end, and return the outcome, or a `TimeoutError` after ``seconds``."""
        import anyio  # 60 ms, if the program has not imported it

        here, event = find_home(), anyio.Event()
        if here is not None:
            self.on_end(lambda: _call_soon(here, event.set))
        with anyio.move_on_after(math.inf if seconds is None else seconds):
            await event.wait()
        return self._get_outcome() if self.has_ended else _make_timeout(seconds)

    def _get_outcome(self) -> T | BaseException:
        return LoopError("the call was cancelled before it began") if self.outcome is None else self.outcome


def is_for_program(error: BaseException) -> bool:
    """Return whether ``error``, or a part of a group, asks the program to end: raised by Ctrl-C or a signal handler."""
    if current_thread() is not main_thread():  # the only one that gets signals
        return False
    if isinstance(error, KeyboardInterrupt) or (isinstance(error, SystemExit) and is_interruption(error)):
        return True
    return any(map(is_for_program, getattr(error, "exceptions", ())))


def _call_soon(home: HomeLoop, function: Callable[[], object]) -> None:
    """Call ``function`` on ``home``, or not at all if it has ended."""
    with suppress(LoopError):
        home.call_soon(function)


def _make_timeout(seconds: float | None) -> TimeoutError:
    return TimeoutError(f"expected an answer within {seconds:g} s, got none; its event loop may be busy")


def detach(work: Callable[[], Coroutine[Any, Any, None]], on_end: Callable[[], None]) -> Callable[[], object]:
    """Run ``work``, which must not raise, in its own task on the running loop; return a function that cancels it.

    The task belongs to no scope, so that the code that starts it need not wait for its end. anyio has no such tasks, on
    purpose: a task group waits for its tasks. A scrape must not wait for a collector that ignores its cancellation.

    ``on_end`` is called on the loop once the task has ended, even if it ends before its first step.
    """
    if is_trio_running():
        return _detach_on_trio(work, on_end)
    import asyncio

    task = asyncio.get_running_loop().create_task(work())
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)
    task.add_done_callback(lambda _: on_end())
    return task.cancel


def _detach_on_trio(work: Callable[[], Coroutine[Any, Any, None]], on_end: Callable[[], None]) -> Callable[[], object]:
    import trio

    scope = trio.CancelScope()

    async def run() -> None:
        try:
            with scope:
                await work()
        finally:
            on_end()

    trio.lowlevel.spawn_system_task(run, context=copy_context())
    return scope.cancel


def is_task_cancelled() -> bool:
    """Return whether a cancellation that was raised in this task is one of the whole task, and not of a part of it.

    Before Python 3.11 asyncio does not say so, and this function returns False.
    """
    if is_trio_running():  # whose `Cancelled` no other code can raise
        return True
    import asyncio

    count_requests = getattr(asyncio.current_task(), "cancelling", None)
    return count_requests is not None and count_requests() > 0


async def pause() -> None:
    """Let other tasks of the running loop go on, and be cancelled here."""
    if is_trio_running():
        import trio

        await trio.lowlevel.checkpoint()
    else:
        import asyncio

        await asyncio.sleep(0)
