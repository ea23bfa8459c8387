"""Names of what runs on an event loop: the function of a stack, and the coroutine of a task, as ``module:qualname``."""

from __future__ import annotations

import inspect
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any, final

__all__ = ("Stack", "list_loop_codes", "name_coroutine")

_DEBUGGERS = {"bdb", "debugpy", "ipdb", "pdb", "pudb", "pydevd", "_pydevd_bundle", "_pydevd_sys_monitoring"}
_DEBUGGER_MODULES = {"IPython.core.debugger", "IPython.terminal.debugger"}

_PACKAGE = __name__.partition(".")[0] + "."
_MOST_WRAPPERS = 3

_LIBRARIES = tuple(
    f"{path}/" for path in {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")} if path
)
_LIBRARY_PARTS = ("/site-packages/", "/dist-packages/")

_COROUTINE_FLAGS = inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE | inspect.CO_ASYNC_GENERATOR

# Coroutines that only await another one, which is what the program has started.
_WRAPPERS = {"anyio._core._tasks:TaskHandle._run_coro", "asyncio.tasks:wait_for"}


def _list_frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _name_frame(frame: FrameType) -> str:
    return f"{_find_module(frame)}:{getattr(frame.f_code, 'co_qualname', frame.f_code.co_name)}"  # from Python 3.11 on


def _find_module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "?"))


def list_loop_codes() -> list[CodeType]:
    """Return the code that runs the loop of this thread, the outermost first; call it in a task.

    All stacks of the loop begin with it: the program's main function, the functions of asyncio or trio. It ends where
    the first coroutine of the task begins.
    """
    codes: list[CodeType] = []
    for frame in reversed([*_list_frames(sys._getframe())]):
        if frame.f_code.co_flags & _COROUTINE_FLAGS:
            return codes
        codes.append(frame.f_code)
    return []


@final
class Stack:
    """The frames of the thread that runs a loop, without those that run the loop itself.

    It keeps the local variables of the program alive, so it must not be kept.
    """

    def __init__(self, frame: FrameType | None, loop_codes: list[CodeType]) -> None:
        frames = [*_list_frames(frame)]
        below = 0
        for one, code in zip(reversed(frames), loop_codes, strict=False):
            if one.f_code is not code:
                break
            below += 1
        self.is_idle = below == len(frames)
        """Whether the loop runs nothing at this moment."""
        self._frames = frames[: len(frames) - below]

    @property
    def function(self) -> str:
        """The innermost function outside the standard library and the packages; if there is none, the innermost."""
        if not self._frames:
            return "unknown"
        own = (frame for frame in self._frames if not _is_of_library(frame))
        return _name_frame(next(own, self._frames[0]))

    def has_debugger(self) -> bool:
        """Return whether a debugger has stopped the thread."""
        return any(
            module in _DEBUGGER_MODULES or module.partition(".")[0] in _DEBUGGERS
            for module in map(_find_module, self._frames)
        )

    def format(self) -> str:
        """Return the stack as Python's tracebacks have it, the innermost function last."""
        lines = ((frame, frame.f_lineno) for frame in reversed(self._frames))
        return "".join(traceback.StackSummary.extract(lines).format())


def _is_of_library(frame: FrameType) -> bool:
    if _find_module(frame).startswith(_PACKAGE):  # such as our callback of the garbage collector
        return True
    path = frame.f_code.co_filename.replace("\\", "/")
    return path.startswith(("<frozen ", *_LIBRARIES)) or any(part in path for part in _LIBRARY_PARTS)


def name_coroutine(coroutine: Any) -> str:
    """Return the module and the qualified name of a coroutine; of a wrapper, those of the coroutine that it awaits.

    A wrapper is one of a table, or has the name of what it awaits, as a decorator gives it.
    """
    name, own = _name_parts(coroutine)
    for _ in range(_MOST_WRAPPERS):
        inner = getattr(coroutine, "cr_await", None)
        if not inspect.iscoroutine(inner) or (name not in _WRAPPERS and own != inner.__qualname__):
            break
        coroutine = inner
        name, own = _name_parts(inner)
    return name


def _name_parts(coroutine: Any) -> tuple[str, str]:
    """Return the whole name, and the qualified name alone."""
    kind = type(coroutine)
    own = str(getattr(coroutine, "__qualname__", kind.__qualname__))
    frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
    # A coroutine of Cython, and the step of an asynchronous generator, have no frame.
    module = _find_module(frame) if isinstance(frame, FrameType) else kind.__module__
    return f"{module}:{own}", own
