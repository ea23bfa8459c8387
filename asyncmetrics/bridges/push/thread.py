"""`PusherThread`: a pusher for programs without an event loop, in a thread with a loop of its own.

*Theory of operation.*

1. `PusherThread.start` starts a daemon thread, which runs a loop with a `Pusher` on it.
2. At the end of the interpreter, the last push is made before the pools of threads are shut down, in which asyncio
   looks host names up. `threading._register_atexit` calls its functions in the reverse order, and that of
   `concurrent.futures` is registered before ours. `atexit` would be too late.
3. After a fork, the child process has no thread. The hook starts another one; whether it pushes is for the lead.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, final

import anyio

from asyncmetrics.bridges.push.pusher import Pusher
from asyncmetrics.bridges.push.selection import FamilySelection
from asyncmetrics.bridges.push.sink import Sink
from asyncmetrics.bridges.push.termination import TERMINATION
from asyncmetrics.bridges.push.wakeup import WAKEUP
from asyncmetrics.errors import LoopError
from asyncmetrics.interruptions import ignoring
from asyncmetrics.loops import HomeLoop, LoopCall, find_home
from asyncmetrics.registry import REGISTRY, Collectable

__all__ = ("PusherThread",)

_MARGIN_SECONDS = 1.0  # for the end of the loop


@final
class PusherThread:
    """Push the metrics of ``registry`` to ``sink`` from a daemon thread. The arguments are those of `Pusher`.

    It is a context manager; `start` and `stop` do the same. The end of the interpreter stops it too, with a last push.
    After a fork, the child process has a thread of its own; of several processes that share the registry one pushes.
    """

    def __init__(
        self,
        sink: Sink,
        registry: Collectable = REGISTRY,
        *,
        interval: float = 15.0,
        shutdown_timeout: float = 5.0,
        families: FamilySelection | None = None,
        max_pending: int = 10,
        job: str | None = None,
        instance: str | None = None,
    ) -> None:
        self._pusher = Pusher(
            sink,
            registry,
            interval=interval,
            shutdown_timeout=shutdown_timeout,
            families=families,
            max_pending=max_pending,
            job=job,
            instance=instance,
        )
        self._shutdown_timeout = shutdown_timeout
        self._run: _Run | None = None

    def is_started(self) -> bool:
        """Return whether the thread runs in this process."""
        return self._run is not None and self._run.is_here()

    def start(self) -> None:
        """Start the thread, unless it runs. Raises RuntimeError if the system has no thread left."""
        if self._begin():
            _register_at_exit()
            TERMINATION.install()
            if self._run is not None:
                self._run.wait_for_start()

    def _begin(self) -> bool:
        """Start the thread; return whether there was none."""
        if self.is_started():
            return False
        WAKEUP.install()
        run = _Run(self._pusher)
        run.start()
        self._run = run
        _STARTED.add(self)
        return True

    def stop(self) -> None:
        """Make the last push, within ``shutdown_timeout``, and end the thread."""
        run, self._run = self._run, None
        _STARTED.discard(self)
        if run is not None and run.is_here():
            run.stop(self._shutdown_timeout + _MARGIN_SECONDS)
            TERMINATION.uninstall()
        if not _STARTED:
            WAKEUP.uninstall()

    def push(self) -> None:
        """Collect and send once, now, and wait for it. Raises `PushError` (an OSError) as `Pusher.push` does."""
        run = self._run
        if run is not None and run.is_here():
            run.call(self._pusher)
            return
        outcomes: list[BaseException | None] = []
        thread = threading.Thread(target=lambda: outcomes.append(_push_on_new_loop(self._pusher)), daemon=True)
        thread.start()  # this one may run a loop
        thread.join()
        if outcomes[0] is not None:
            raise outcomes[0]

    def restart_after_fork(self) -> None:
        """Start another thread in a forked process, whose parent had one."""
        with ignoring(RuntimeError):  # the system has no thread left
            self._begin()  # and do not wait: the program has not left `os.fork` yet

    def __enter__(self) -> PusherThread:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"PusherThread({self._pusher!r})"


@final
class _Run:
    """One thread, from its start to its end."""

    def __init__(self, pusher: Pusher) -> None:
        self._pusher = pusher
        self._process = os.getpid()
        self._home: HomeLoop | None = None
        self._end: anyio.Event | None = None
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=partial(anyio.run, self._live), name="asyncmetrics-pusher", daemon=True)

    def is_here(self) -> bool:
        return self._process == os.getpid() and self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    async def _live(self) -> None:
        self._home, self._end = find_home(), anyio.Event()
        async with self._pusher, anyio.create_task_group() as tasks:
            tasks.start_soon(WAKEUP.watch)
            self._is_ready.set()
            await self._end.wait()
            tasks.cancel_scope.cancel()

    def wait_for_start(self) -> None:
        self._is_ready.wait(_MARGIN_SECONDS)  # so that a signal that comes now finds the pusher

    def stop(self, seconds: float) -> None:
        if self._is_ready.wait(seconds) and self._home is not None and self._end is not None:
            with ignoring(LoopError):  # it has ended
                self._home.call_soon(self._end.set)
            if threading.current_thread() is not self._thread:
                self._thread.join(seconds)

    def call(self, pusher: Pusher) -> None:
        self._is_ready.wait()
        outcome = LoopCall(pusher.push).start(self._home).wait(None)
        if isinstance(outcome, BaseException):
            raise outcome


def _push_on_new_loop(pusher: Pusher) -> BaseException | None:
    try:
        anyio.run(pusher.push)
    except BaseException as error:  # noqa: BLE001  # it is raised in the thread that waits
        return error
    return None


_STARTED: set[PusherThread] = set()  # a program need not keep what it starts
_REGISTERED: list[int] = []


def _register_at_exit() -> None:
    """Stop all threads at the end of the interpreter."""
    if _REGISTERED:
        return
    _REGISTERED.append(os.getpid())
    import concurrent.futures.thread  # noqa: F401  # it registers its function first, so that ours is called first

    threads: Any = threading
    register: Callable[[Callable[[], None]], object] = getattr(threads, "_register_atexit", atexit.register)
    register(_stop_all)


def _stop_all() -> None:
    for thread in list(_STARTED):
        thread.stop()


def _restart_all() -> None:
    for thread in list(_STARTED):
        thread.restart_after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_restart_all)
