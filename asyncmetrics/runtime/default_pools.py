"""The pools of threads that a monitored loop has by itself: its default executor, and the default limiters.

*Theory of operation of the default executor.* asyncio makes it at the first call without an executor; uvloop does so as
well, and does not show it.

1. Until the executor is known, ``run_in_executor`` of the loop is replaced.
2. During its first call without an executor, `ThreadPoolExecutor.submit` is patched. The loop calls it in the thread of
   this call, so its executor is the default one. From now on it is measured by a class of its own.
3. ``run_in_executor`` is as before. ``set_default_executor`` stays replaced, and measures the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial, wraps
from threading import RLock, get_ident
from typing import Any, final

from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.patching import Patch, refer, replace_method
from asyncmetrics.registry.self_metrics import get_self_metrics
from asyncmetrics.runtime.monitored_loop import MonitoredLoop
from asyncmetrics.runtime.objects import Instruments

__all__ = ("begin_default_executor", "begin_default_limiter")


def begin_default_executor(loop: MonitoredLoop) -> None:
    """Measure the default executor of a loop of asyncio or uvloop, as the pool ``default``."""
    if loop.kind != "trio":
        _DefaultExecutor(loop).begin()


def begin_default_limiter(loop: MonitoredLoop) -> None:
    """Measure the default limiter of anyio as the pool ``anyio``; of a trio run, that of trio as ``trio``."""
    from asyncmetrics.runtime.limiters import INTEGRATION

    if loop.kind == "trio":
        from trio import to_thread as trio_threads

        limiter: object = trio_threads.current_default_thread_limiter()
        name = "trio"
    else:
        from anyio import to_thread  # 60 ms, if the program has not imported it

        limiter = to_thread.current_default_thread_limiter()
        name = "anyio"
    loop.undo.callback(_measure(INTEGRATION, limiter, name, loop))


def _measure(integration: Instruments, target: object, name: str, loop: MonitoredLoop) -> Callable[[], None]:
    """Measure one pool of a loop, unless the program does so; return the step that undoes it."""
    if integration.is_measuring(target):
        return _do_nothing
    integration.instrument(
        target,
        name=f"{name}-{loop.label}" if loop.label else name,
        registry=loop.registry,
        namespace=loop.namespace,
    )
    get = refer(target)

    def undo() -> None:
        found = get()
        if found is not None:
            integration.uninstrument(found)

    return undo


def _do_nothing() -> None:
    """Undo nothing."""


@final
class _DefaultExecutor:
    """Finds the default executor of one loop, and measures it."""

    def __init__(self, loop: MonitoredLoop) -> None:
        import asyncio

        from asyncmetrics.runtime.executors import INTEGRATION

        self._integration = INTEGRATION
        self._loop = loop
        # All references to the loop are weak: it may end without `stop`, and must not stay in memory then.
        self._get_native = refer(asyncio.get_running_loop())
        self._is_over = False
        self._is_known = False
        self._get: Callable[[], object] = _do_nothing
        self._release: Callable[[], None] = _do_nothing
        self._restore_run: Callable[[], None] = _do_nothing

    def begin(self) -> None:
        native, undo = self._get_native(), self._loop.undo
        undo.callback(self._end)
        undo.callback(replace_method(native, "set_default_executor", self._wrap_setter))
        executor = getattr(native, "_default_executor", None)  # uvloop does not show it
        if executor is not None:
            self._adopt(executor)
        else:
            self._restore_run = replace_method(native, "run_in_executor", self._wrap_run)

    def _end(self) -> None:
        self._is_known = self._is_over = True
        self._restore_run()
        self._release()

    def _wrap_run(self, run: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(run)
        def run_in_executor(executor: Any, func: Callable[..., Any], *args: Any) -> Any:
            if executor is not None or self._is_known:
                return run(executor, func, *args)
            with _capture(self._adopt):
                future = run(executor, func, *args)
            if not self._is_known:  # an executor with a method `submit` of its own
                self._adopt(getattr(self._get_native(), "_default_executor", None))
            return future

        return run_in_executor

    def _wrap_setter(self, set_executor: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(set_executor)
        def set_default_executor(executor: Any) -> Any:
            former = self._get()  # a reference: collected before the next one has its name, it takes the series along
            result = set_executor(executor)
            if not self._is_over:
                self._adopt(executor)
            del former
            return result

        return set_default_executor

    def _adopt(self, executor: object) -> None:
        """Measure this executor from now on, and none if it is None. It does not raise."""
        self._is_known = True
        try:
            self._restore_run()
            release, self._release = self._release, _do_nothing
            if executor is not None:
                self._get = refer(executor)
                self._release = _measure(self._integration, executor, "default", self._loop)
            release()  # last, so that the series of this name stay
        except Exception as error:  # noqa: BLE001  # the call of the program must not fail
            pass_interruption(error)
            get_self_metrics(self._loop.registry).count_internal_error("runtime.default_pools")


_CAPTURES: dict[int, Callable[[object], object]] = {}
"""What to call with the executor that a thread submits a call to next, by the thread."""
_lock = RLock()


@contextmanager
def _capture(adopt: Callable[[object], object]) -> Iterator[None]:
    """Call ``adopt`` with the first executor that this thread submits a call to, before the call."""
    thread = get_ident()
    with _lock:
        if not _CAPTURES:
            _PATCH.apply()
        _CAPTURES[thread] = adopt
    try:
        yield
    finally:
        with _lock:
            del _CAPTURES[thread]
            if not _CAPTURES:
                _PATCH.undo()


def _wrap_submit(submit: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(submit)
    def measured(executor: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        adopt = _CAPTURES.get(get_ident(), _ignore)
        if adopt is _ignore:
            return submit(executor, fn, *args, **kwargs)
        with _lock:
            _CAPTURES[get_ident()] = _ignore
        is_plain = type(executor).submit is ThreadPoolExecutor.submit
        adopt(executor)
        # The first call is measured as well, unless another class or the program has its own way to submit it.
        return (executor.submit if is_plain else partial(submit, executor))(fn, *args, **kwargs)

    return measured


_PATCH = Patch(ThreadPoolExecutor, "submit", _wrap_submit)


def _ignore(_: object) -> None:
    """Capture nothing: the executor is known."""
