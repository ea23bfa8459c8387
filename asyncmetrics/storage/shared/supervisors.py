"""Whether this process is one of several workers of a server, and which process is their supervisor.

*Rules.* Import nothing, start nothing and send nothing to find out. If in doubt, the process is no worker. A server
that runs its application in one process has no workers; a reloader is such a server.

*Theory of operation.* `find_supervisor` asks these questions in turn:

1. Did ``multiprocessing`` start this process? uvicorn, hypercorn and granian start their workers so. In each of them
   ``multiprocessing`` keeps the function that it runs: the module of the function is the server, and its arguments
   say whether there are several workers. While the main module is still being imported, the function is not known
   (`is_being_prepared`).
2. Is gunicorn's arbiter on the stack of the main thread? gunicorn forks, so its arbiter is there in each worker and,
   with ``--preload``, in the supervisor before it forks: ``is_this_process`` is then True.
3. Otherwise this process is no worker.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple

from asyncmetrics.storage.shared.files.processes import read_start_time

__all__ = ("Supervisor", "find_supervisor", "is_being_prepared")


class Supervisor(NamedTuple):
    """The process that starts the workers; ``is_this_process`` if it is this one, before it has started any."""

    name: str
    pid: int
    start: int
    is_this_process: bool = False


def is_being_prepared() -> bool:
    """Return whether ``multiprocessing`` is still importing the main module and has not set the function yet."""
    return hasattr(_get_current_process(), "_inheriting")


def _get_current_process() -> Any:
    module = sys.modules.get("multiprocessing.process")  # not imported: no child of it
    return None if module is None else getattr(module, "_current_process", None)


def find_supervisor() -> Supervisor | None:
    """Return the supervisor of this process, None if it is no worker."""
    return _find_in_multiprocessing() or _find_in_gunicorn()


def _find_in_multiprocessing() -> Supervisor | None:
    current = _get_current_process()
    parent = getattr(sys.modules.get("multiprocessing.process"), "_parent_process", None)
    if current is None or parent is None:
        return None
    target = getattr(current, "_target", None)
    server = str(getattr(target, "__module__", "")).partition(".")[0]
    has_several = _HAS_SEVERAL.get(server)
    arguments = (getattr(current, "_args", ()), getattr(current, "_kwargs", {}))
    if has_several is None or not has_several(*arguments):
        return None
    return Supervisor(server, parent.pid, read_start_time(parent.pid))


def _asks_for_several(_: tuple[Any, ...], named: dict[str, Any]) -> bool:
    """Return whether the configuration, which uvicorn and hypercorn pass to each worker, asks for several."""
    config = named.get("config")
    reloads = getattr(config, "should_reload", False) or getattr(config, "use_reloader", False)
    # 2: a configuration without ``workers`` was passed to a process that the server has started, so there are some.
    return not reloads and getattr(config, "workers", 2) > 1


# By server: whether the arguments of a worker's function say that there are several workers.
_HAS_SEVERAL: dict[str, Callable[[tuple[Any, ...], dict[str, Any]], bool]] = {
    "uvicorn": _asks_for_several,
    "hypercorn": _asks_for_several,
    "granian": lambda positional, named: True,  # noqa: ARG005  # its arguments do not say
}


def _find_in_gunicorn() -> Supervisor | None:
    if "gunicorn.arbiter" not in sys.modules:
        return None
    frame: FrameType | None = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        if frame.f_globals.get("__name__") == "gunicorn.arbiter" and "self" in frame.f_locals:
            pid = getattr(frame.f_locals["self"], "pid", None) or os.getpid()
            return Supervisor("gunicorn", pid, read_start_time(pid), is_this_process=pid == os.getpid())
        frame = frame.f_back
    return None
