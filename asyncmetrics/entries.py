"""The open entries of a context manager that several calls share, and the one that an exit belongs to.

*Theory of operation.* Python passes ``__exit__`` nothing that says which ``__enter__`` came before it. The frame does:

1. ``with manager:`` calls both methods from one frame, so the entry belongs to that frame. The frame of a coroutine or
   generator stays the same while it is suspended, whatever thread, task or context resumes it.
2. A function that calls ``__enter__``, such as ``ExitStack.enter_context`` or a callback, may end before the exit. Its
   entry belongs to the task that runs it or, outside of tasks, to the thread.
3. If a task or thread has several such entries, nothing shows which of them an exit belongs to: the newest is taken.
   If a task or thread has none, the oldest of the others is taken.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from opcode import opmap
from types import FrameType
from typing import Any, Protocol, TypeVar

__all__ = ("add_entry", "find_owner", "take_entry")


class _Entry(Protocol):
    """What a manager stores for one entry. ``outer`` is the entry around it in the same frame; `add_entry` sets it."""

    outer: Any


E = TypeVar("E", bound=_Entry)

# The instructions of `with` and `async with` in CPython 3.10, and in 3.11 to 3.13. Numbers above 255 are never run. An
# interpreter without these instructions does not show which entries are of step 2: each then belongs to its frame.
_NAMES = ("SETUP_WITH", "BEFORE_WITH", "BEFORE_ASYNC_WITH")
_ENTERING = frozenset(opmap[name] for name in _NAMES if opmap.get(name, 256) < 256)
_EXTENDED_ARG = opmap["EXTENDED_ARG"]


def find_owner(frame: FrameType) -> object:
    """Return the owner of a new entry from ``frame``: the frame itself, or the task or thread that makes the call."""
    code, index = frame.f_code.co_code, frame.f_lasti
    while code[index] == _EXTENDED_ARG:  # Python 3.10 stops at this prefix, which a block of over 255 instructions has
        index += 2
    if not _ENTERING or code[index] in _ENTERING:
        return frame
    return _find_caller()


def add_entry(entries: dict[object, E], owner: object, entry: E) -> None:
    """Add the newest entry of ``owner``."""
    # To a dict: an object with these functions as methods takes 100 ns more to make (benchmarks/decorators.py).
    entry.outer = entries.get(owner)
    entries[owner] = entry


def take_entry(entries: dict[object, E], frame: FrameType) -> E | None:
    """Return the entry that an exit from ``frame`` belongs to, and forget it; None if there is none."""
    owner = frame if frame in entries else _find_called(entries)
    entry = entries.pop(owner, None)
    if entry is not None and entry.outer is not None:
        entries[owner] = entry.outer
    return entry


def _find_called(entries: Mapping[object, object]) -> object:
    """Return the owner of an exit that is made by a call: this task or thread, or else the one that entered first.

    Several tasks may have entered, and another one leaves: any order is a guess, and each entry has to end once.
    """
    caller = _find_caller()
    if caller in entries:
        return caller
    others = [owner for owner in list(entries) if not _ENTERING or not isinstance(owner, FrameType)]
    return others[0] if others else None


def _find_caller() -> object:
    """Return the task that runs now, or the identifier of the thread."""
    # A loop that was not imported runs no task, and importing asyncio would take 22 ms.
    trio, asyncio = sys.modules.get("trio"), sys.modules.get("asyncio")
    if trio is not None and trio.lowlevel.in_trio_task():
        return trio.lowlevel.current_task()
    if asyncio is not None and asyncio._get_running_loop() is not None:
        task = asyncio.current_task()
        if task is not None:
            return task
    return threading.get_ident()
