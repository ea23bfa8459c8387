"""Telling what a signal handler raises from what the interrupted code itself raises, which may have the same class.

*Rules.* Where an exception is caught that a handler may raise as well, pass on the handler's: it is for the program.

*Theory of operation.* If a signal handler raises, the traceback shows two frames in a row, of the interrupted code and
of the handler. There are two ways to know the second one, because a program may change either of them meanwhile:

1. Python calls a handler with the frame that it interrupts, and no other function: a variable of it is that frame.
2. The second frame runs the code of a handler that is registered.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from types import CodeType, FrameType, TracebackType

__all__ = ("ignoring", "is_interruption", "pass_interruption")

_PACKAGE = __name__.partition(".")[0] + "."


def is_interruption(error: BaseException) -> bool:
    """Return whether a signal handler raised ``error``, and not the code that it interrupted."""
    return any(
        _has(frame, interrupted) or frame.f_code in _list_handler_codes()
        for interrupted, frame in pairwise(_list_frames(error.__traceback__))
        if not frame.f_globals.get("__name__", "").startswith(_PACKAGE)  # which has no handler: that would take 10 µs
    )


def _list_frames(traceback: TracebackType | None) -> Iterator[FrameType]:
    while traceback is not None:
        yield traceback.tb_frame
        traceback = traceback.tb_next


def _has(frame: FrameType, other: FrameType) -> bool:
    """Return whether a variable of ``frame`` is ``other``, or has it, as the tuple of the arguments of ``*_``."""
    values = list(frame.f_locals.values())
    return any(value is other or (type(value) is tuple and any(item is other for item in value)) for value in values)


def _list_handler_codes() -> set[CodeType]:
    """Return the code of all signal handlers that are registered: functions, methods, callable objects, partials."""
    # The functions of `signal` make enums, which swallow an exception that a handler raises meanwhile.
    module = sys.modules.get("_signal")
    if module is None:  # nothing is registered
        return set()
    handlers = map(module.getsignal, range(1, module.NSIG))
    functions = [getattr(handler, "func", handler) for handler in handlers if callable(handler)]
    codes = [getattr(f, "__code__", None) or getattr(type(f).__call__, "__code__", None) for f in functions]
    return {code for code in codes if code is not None}


def pass_interruption(error: BaseException) -> None:
    """Raise ``error`` again if a signal handler raised it."""
    if is_interruption(error):
        raise error


class ignoring(suppress):  # noqa: N801  # in lower case, as `suppress`
    """As `contextlib.suppress`, but pass on what a signal handler raises."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        is_expected = bool(super().__exit__(kind, error, traceback))
        return is_expected and error is not None and not is_interruption(error)
