"""Telling what a signal handler raises from what the interrupted code itself raises, which may have the same class.

*Rules.* Where an exception is caught that a handler may raise as well, pass on the handler's: it is for the program.

*Theory of operation.* If a signal handler raises, the traceback has two frames in a row: that of the interrupted code
and that of the handler. Two things show that the second one is a handler's:

1. The first frame is an argument of the second one, as Python passes it to a handler. (Functions that trace or profile
   get it as well.) The handler may have another value in that variable by now.
2. The second frame runs the function of a handler that is registered. The handler may have registered another one.

An exception that comes otherwise counts as one of the interrupted code: by ``PyThreadState_SetAsyncExc``, or from a
handler that is not written in Python.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from types import CellType, CodeType, FrameType, TracebackType
from typing import Any

__all__ = ("ignoring", "is_interruption", "pass_interruption")

_PACKAGE = __name__.partition(".")[0] + "."


def is_interruption(error: BaseException) -> bool:
    """Return whether a signal handler raised ``error``, and not the code that it interrupted."""
    suspects = [
        (interrupted, frame)
        for interrupted, frame in pairwise(_list_frames(error.__traceback__))
        if not frame.f_globals.get("__name__", "").startswith(_PACKAGE)  # which has no handler: that would take 10 µs
    ]
    handlers = _list_handlers() if suspects else []
    return any(
        _has_argument(frame, interrupted) or any(_runs(frame, handler) for handler in handlers)
        for interrupted, frame in suspects
    )


def _list_frames(traceback: TracebackType | None) -> Iterator[FrameType]:
    while traceback is not None:
        yield traceback.tb_frame
        traceback = traceback.tb_next


def _has_argument(frame: FrameType, value: FrameType) -> bool:
    """Return whether an argument of the call that ``frame`` runs is ``value``."""
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount]
    arguments = [frame.f_locals[name] for name in names if name in frame.f_locals]
    if code.co_flags & inspect.CO_VARARGS:
        arguments += frame.f_locals.get(code.co_varnames[code.co_argcount + code.co_kwonlyargcount]) or ()
    return any(argument is value for argument in arguments)


def _list_handlers() -> list[Callable[..., Any]]:
    # The functions of `signal` make enums, which swallow an exception that a handler raises meanwhile.
    module = sys.modules.get("_signal")
    handlers = map(module.getsignal, range(1, module.NSIG)) if module is not None else ()
    return [getattr(handler, "func", handler) for handler in handlers if callable(handler)]


def _runs(frame: FrameType, handler: Callable[..., Any]) -> bool:
    """Return whether ``frame`` runs a call of ``handler``: a function, a method, or an object that can be called."""
    code = getattr(handler, "__code__", None)
    owner = getattr(handler, "__self__", None)
    if code is None:
        code, owner = getattr(type(handler).__call__, "__code__", None), handler
    if not isinstance(code, CodeType) or frame.f_code is not code:
        return False
    if owner is not None and frame.f_locals.get(code.co_varnames[0]) is not owner:
        return False
    # All functions that one decorator returns have the same code, but other free variables.
    contents = map(_get_content, getattr(handler, "__closure__", None) or ())
    return all(frame.f_locals.get(name) is content for name, content in zip(code.co_freevars, contents, strict=False))


def _get_content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # the variable was deleted
        return None


def pass_interruption(error: BaseException) -> None:
    """Raise ``error`` again if a signal handler raised it."""
    try:
        if is_interruption(error):
            raise error
    finally:
        del error  # the traceback has this frame: a cycle would keep all that the exception has passed


class ignoring(suppress):  # noqa: N801  # in lower case, as `suppress`
    """As `contextlib.suppress`, but pass on what a signal handler raises."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        is_expected = bool(super().__exit__(kind, error, traceback))
        return is_expected and error is not None and not is_interruption(error)
