"""Exceptions that nothing has caught, and the warnings that Python shows: parts of the monitor.

The metrics have no label ``loop``: threads, finalisers and warnings belong to the process.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

from asyncmetrics.metrics import Counter
from asyncmetrics.middleware.exceptions import flatten_group
from asyncmetrics.runtime.monitored_loop import MonitoredLoop
from asyncmetrics.runtime.process_hooks import ProcessHooks, Tally

__all__ = ("CountFailure", "begin_failures", "begin_warnings", "make_failure_count")

CountFailure: TypeAlias = Callable[[str, type[BaseException], "BaseException | None"], object]
"""Counts an exception by the place where it was found, and its class; returns it."""

_MAX_CHILDREN = 500  # 6 places with 80 classes of exceptions each; a program may make classes as it runs

_FAILURES = ProcessHooks(
    [
        (threading, "excepthook", "thread"),
        (sys, "unraisablehook", "unraisable"),
        (sys, "excepthook", "main"),
    ]
)
# `warnings` calls this private function for each warning that it shows, whatever `showwarning` is: logging replaces
# that one by `captureWarnings`, and calls what was there before only for warnings that go to a file.
_PRIVATE_NAME = "_showwarnmsg"
_SHOWN = ProcessHooks([(warnings, _PRIVATE_NAME, "warning")])
_SHOWN_PUBLICLY = ProcessHooks([(warnings, "showwarning", "warning")])


def begin_failures(loop: MonitoredLoop) -> None:
    """Count the exceptions that leave a thread, a finaliser or the program."""
    count_failure = make_failure_count(loop)

    def count(where: str, *args: Any) -> object:
        # `sys.excepthook` gets three arguments, and the others one object that has them.
        kind, error = args[:2] if where == "main" else (args[0].exc_type, args[0].exc_value)
        return count_failure(where, kind, error)

    _FAILURES.join(loop, Tally(loop, "runtime.failures", count))


def make_failure_count(loop: MonitoredLoop) -> CountFailure:
    """Return the function that counts exceptions in the registry of ``loop``.

    What only ends the program is no failure: SystemExit, and KeyboardInterrupt, which is a Ctrl-C.
    """
    counter = Counter(
        "python_unhandled_exceptions_total",
        "Exceptions that nothing has caught, by the place where they were found.",
        ["where", "type"],
        namespace=loop.namespace,
        registry=loop.registry,
        max_children=_MAX_CHILDREN,
        exist_ok=True,
    )

    def count(where: str, kind: type[BaseException], error: BaseException | None) -> object:
        parts = [kind] if error is None else map(type, flatten_group(error))
        is_end = all(issubclass(part, (SystemExit, KeyboardInterrupt)) for part in parts)
        if not is_end and (error is None or not Tally.is_known(error)):
            counter.find((where, kind.__name__)).inc()
        return error

    return count


def begin_warnings(loop: MonitoredLoop) -> None:
    """Count the warnings that Python shows, by their category."""
    counter = Counter(
        "python_warnings_total",
        "Warnings that Python has shown.",
        ["category"],
        namespace=loop.namespace,
        registry=loop.registry,
        max_children=_MAX_CHILDREN,
        exist_ok=True,
    )

    def count(_: str, message: Any, category: type[Warning] | None = None, *_rest: object) -> None:
        # The private function gets one object, and the public one what is in it.
        counter.find(((category or message.category).__name__,)).inc()

    hooks = _SHOWN if _PRIVATE_NAME in vars(warnings) else _SHOWN_PUBLICLY
    hooks.join(loop, Tally(loop, "runtime.warnings", count))
