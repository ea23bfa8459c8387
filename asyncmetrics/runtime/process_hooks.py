"""`ProcessHooks`: functions of Python's own modules that are replaced while any loop of the process is monitored.

*Rules.*

- Take no lock, log nothing and raise nothing when a hook is called: it may run in a finaliser, in a signal handler, or
  in the middle of any operation of the same thread.
- Count before the function that was there: that one may end the process.

*Theory of operation.*

1. The first monitored loop that joins replaces the functions.
2. A hook counts what it is called for, with the `Tally` of the loop that has joined first of those that are left. Then
   it calls the function that it has replaced, and returns what that returns.
3. When the last loop has left, the functions are restored. Where another tool has replaced one of them meanwhile, our
   hook stays inside of the other's, and only passes calls on. A later step 1 uses it again, if the other's function
   shows that ours is inside. Otherwise it puts a new hook outside, and the old one never counts again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from functools import wraps
from types import ModuleType
from typing import Any, TypeAlias, final

from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.patching import Patch
from asyncmetrics.registry.self_metrics import get_self_metrics
from asyncmetrics.runtime.monitored_loop import MonitoredLoop

__all__ = ("Count", "ProcessHooks", "Tally")

Count: TypeAlias = Callable[..., object]
"""Counts one event, and returns its subject, such as an exception; None for an event without one."""


class _Thread(threading.local):
    """What this thread does at the moment."""

    is_counting = False
    subjects: tuple[object, ...] = ()


_HERE = _Thread()


@final
class Tally:
    """Count events by ``count``, and its own failures as internal errors of ``where``.

    An event that the counting of another one causes in the same thread is not counted: it would never end.
    """

    def __init__(self, loop: MonitoredLoop, where: str, count: Count) -> None:
        self._registry = loop.registry
        self._where = where
        self._count = count

    def count_and_call(self, event: tuple[object, ...], function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Count an event, call ``function`` and return its result.

        Until it returns, `is_known` is true of the subject of the event in this thread.
        """
        subject = None
        before = _HERE.subjects
        try:
            subject = self._count_safely(event)
        finally:
            _HERE.subjects = (*before, subject)
            try:
                result = function(*args, **kwargs)
            finally:
                _HERE.subjects = before
        return result

    def _count_safely(self, event: tuple[object, ...]) -> object:
        here = _HERE
        if here.is_counting:
            return None
        here.is_counting = True
        try:
            return self._count(*event)
        except Exception as error:  # noqa: BLE001  # the application must see its own failures only
            pass_interruption(error)
            # Not logged: a handler of logs may be what has failed, or what this finaliser has interrupted.
            get_self_metrics(self._registry).count_internal_error(self._where, is_logged=False)
            return None
        finally:
            here.is_counting = False

    @staticmethod
    def is_known(subject: object) -> bool:
        """Return whether a hook around this call has counted ``subject``: some hooks of programs call each other."""
        return any(one is subject for one in _HERE.subjects)


@final
class ProcessHooks:
    """The functions ``targets``: each a module, the name of its function, and the word for its events.

    ``Tally`` gets this word and the arguments of the function as the event.
    """

    def __init__(self, targets: Iterable[tuple[ModuleType, str, str]]) -> None:
        self._patches = [Patch(module, name, _Wrap(self, word)) for module, name, word in targets]
        self._tallies: dict[MonitoredLoop, Tally] = {}
        self._lock = threading.Lock()
        self.tally: Tally | None = None
        """What counts at this moment; None if no loop is monitored."""
        if hasattr(os, "register_at_fork"):  # not on Windows
            os.register_at_fork(after_in_child=self._forget)

    def join(self, loop: MonitoredLoop, tally: Tally) -> None:
        """Replace the functions until ``loop`` ends, or longer if other loops have joined."""
        loop.undo.callback(self._leave, loop)
        with self._lock:
            self._tallies[loop] = tally
            if self.tally is None:
                self.tally = tally
                for patch in self._patches:
                    patch.apply()

    def _leave(self, loop: MonitoredLoop) -> None:
        with self._lock:
            self._tallies.pop(loop, None)
            self.tally = next(iter(self._tallies.values()), None)
            if self.tally is None:
                self._restore()

    def _restore(self) -> None:
        for patch in self._patches:
            patch.undo()

    def _forget(self) -> None:
        """Restore the functions in a process that was forked, in which no loop is monitored yet."""
        self._lock = threading.Lock()  # another thread may have held it
        self._tallies.clear()
        self.tally = None
        self._restore()


@final
class _Wrap:
    """Make the hooks of one function; the newest one counts."""

    def __init__(self, hooks: ProcessHooks, word: str) -> None:
        self._hooks = hooks
        self._word = word
        self._newest: Callable[..., Any] | None = None

    def __call__(self, former: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(former)
        def hook(*args: Any, **kwargs: Any) -> Any:
            tally = self._hooks.tally
            if tally is None or self._newest is not hook:
                return former(*args, **kwargs)
            return tally.count_and_call((self._word, *args), former, *args, **kwargs)

        self._newest = hook
        return hook
