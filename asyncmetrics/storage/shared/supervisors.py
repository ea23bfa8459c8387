"""Telling whether this process is a worker of a server that has several, and which one's.

*Rules.* Nothing is imported, started or asked over the network to find out; what cannot be told is no worker. A server
that runs its application in one process, a reloader among them, has no workers.

*Theory of operation.* uvicorn, hypercorn and granian start their workers by ``multiprocessing``, which keeps in each of
them the function that it was started for: its module tells the server, its arguments how many there are. gunicorn
forks: its arbiter is on the main thread's stack in its workers as well as, with ``--preload``, before there are any.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple

from asyncmetrics.storage.shared.files.processes import read_start_time

__all__ = ("Supervisor", "is_being_prepared", "supervisor")


class Supervisor(NamedTuple):
    """The process that workers belong to; ``here`` says that it is this one, before it has any."""

    name: str
    pid: int
    start: int
    here: bool = False


def is_being_prepared() -> bool:
    """Tell whether ``multiprocessing`` is still importing the main module here, and has not said what for."""
    return hasattr(_current(), "_inheriting")


def _current() -> Any:
    module = sys.modules.get("multiprocessing.process")  # without it this is nobody's child
    return None if module is None else getattr(module, "_current_process", None)


def supervisor() -> Supervisor | None:
    """Return whose worker this process is, or None."""
    return _of_multiprocessing() or _of_gunicorn()


def _of_multiprocessing() -> Supervisor | None:
    current = _current()
    parent = getattr(sys.modules.get("multiprocessing.process"), "_parent_process", None)
    if current is None or parent is None:
        return None
    target = getattr(current, "_target", None)
    server = str(getattr(target, "__module__", "")).partition(".")[0]
    count = _COUNTS.get(server)
    arguments = (getattr(current, "_args", ()), getattr(current, "_kwargs", {}))
    if count is None or not count(*arguments):
        return None
    return Supervisor(server, parent.pid, read_start_time(parent.pid))


def _has_several(_: tuple[Any, ...], named: dict[str, Any]) -> bool:
    """Tell for uvicorn and hypercorn, which hand their configuration over."""
    config = named.get("config")
    reloads = getattr(config, "should_reload", False) or getattr(config, "use_reloader", False)
    return not reloads and getattr(config, "workers", 2) > 1


# How a server's worker finds out from its arguments whether there are others.
_COUNTS: dict[str, Callable[[tuple[Any, ...], dict[str, Any]], bool]] = {
    "uvicorn": _has_several,
    "hypercorn": _has_several,
    "granian": lambda positional, named: True,  # noqa: ARG005  # it does not tell
}


def _of_gunicorn() -> Supervisor | None:
    if "gunicorn.arbiter" not in sys.modules:
        return None
    frame: FrameType | None = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        if frame.f_globals.get("__name__") == "gunicorn.arbiter" and "self" in frame.f_locals:
            pid = getattr(frame.f_locals["self"], "pid", None) or os.getpid()
            return Supervisor("gunicorn", pid, read_start_time(pid), here=pid == os.getpid())
        frame = frame.f_back
    return None
