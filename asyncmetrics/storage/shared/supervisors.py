"""Whether this process is one of several workers, and which process is their supervisor.

*Rules.* Import nothing, start nothing and send nothing to find out. If in doubt, the process is no worker. A server
that runs its application in one process has no workers; a reloader is such a server.

*Theory of operation.* `find_supervisor` asks these questions in turn:

1. Did ``multiprocessing`` start this process? uvicorn, hypercorn and granian start their workers so. In each of them
   ``multiprocessing`` keeps the function that it runs: the module of the function is the server, and its arguments
   say whether there are several workers. The process of any other function is a worker as well, but a *casual* one:
   it becomes one at its first use of a metric. While the main module is still being imported, the function is not
   known (`is_being_prepared`).
2. Is gunicorn's arbiter on the stack of the main thread? gunicorn forks, so its arbiter is there in each worker and,
   with ``--preload``, in the supervisor before it forks: ``is_this_process`` is then True.
3. Did another process that is still its parent fork this one? Then it is a casual worker.
4. Otherwise this process is no worker.

The supervisor is the root of the chain that leads up from the worker (`asyncmetrics.storage.lineage`), so a
worker's own children find the same one.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NamedTuple

from asyncmetrics.storage.lineage import find_root, is_forked, read_start_time, record_fork

__all__ = ("Supervisor", "find_supervisor", "get_own_group", "is_being_prepared", "is_forking_workers")


class Supervisor(NamedTuple):
    """The process from which the workers descend; ``is_this_process`` if it is this one, before it has started any.

    ``is_casual`` is whether this process is a worker only if it uses metrics.
    """

    pid: int
    start: int
    is_this_process: bool = False
    is_casual: bool = False


def is_being_prepared() -> bool:
    """Return whether ``multiprocessing`` is still importing the main module and has not set the function yet."""
    return hasattr(_get_current_process(), "_inheriting")


def _get_current_process() -> Any:
    module = sys.modules.get("multiprocessing.process")  # not imported: no child of it
    return None if module is None else getattr(module, "_current_process", None)


def find_supervisor() -> Supervisor | None:
    """Return the supervisor of this process, None if it is no worker."""
    parent = getattr(sys.modules.get("multiprocessing.process"), "_parent_process", None)
    # A process that was forked otherwise has inherited all that multiprocessing knows about its parent.
    if parent is not None and (parent.pid == os.getppid() or not is_forked()):
        return _find_in_multiprocessing(parent.pid)
    return _find_in_gunicorn() or (_make_supervisor(os.getpid(), is_casual=True) if is_forked() else None)


def get_own_group() -> Supervisor:
    """Return the supervisor that the children of this process would find."""
    return _make_supervisor(os.getpid())


def _make_supervisor(pid: int, *, is_this_process: bool = False, is_casual: bool = False) -> Supervisor:
    root = find_root(pid)
    return Supervisor(root, read_start_time(root), is_this_process=is_this_process, is_casual=is_casual)


def _find_in_multiprocessing(parent: int) -> Supervisor | None:
    current = _get_current_process()
    target = getattr(current, "_target", None)
    server = str(getattr(target, "__module__", "")).partition(".")[0]
    if server in _RELOADERS:
        return None
    has_several = _HAS_SEVERAL.get(server)
    if has_several is None:
        return _make_supervisor(parent, is_casual=True)
    arguments = (getattr(current, "_args", ()), getattr(current, "_kwargs", {}))
    return _make_supervisor(parent) if has_several(*arguments) else None


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
_RELOADERS = frozenset({"watchfiles"})
# The modules of servers that fork their workers, as they are on the stack during the fork.
_FORKING = frozenset({"gunicorn.arbiter", "granian.server.mp", "billiard.pool"})  # billiard: Celery


def _find_in_gunicorn() -> Supervisor | None:
    if "gunicorn.arbiter" not in sys.modules:
        return None
    for frame in _list_main_frames():
        if frame.f_globals.get("__name__") == "gunicorn.arbiter" and "self" in frame.f_locals:
            pid = getattr(frame.f_locals["self"], "pid", None) or os.getpid()
            if pid == os.getppid():
                record_fork(pid)  # it happened before this package was imported
            return _make_supervisor(pid, is_this_process=pid == os.getpid())
    return None


def is_forking_workers() -> bool:
    """Return whether a server is forking a worker at the moment; call it before the fork."""
    return any(frame.f_globals.get("__name__") in _FORKING for frame in _list_frames(sys._getframe()))


def _list_main_frames() -> Iterator[FrameType]:
    """Yield the frames of the main thread, and those of its first greenlet, which gevent suspends."""
    yield from _list_frames(sys._current_frames().get(threading.main_thread().ident or 0))
    greenlet: Any = getattr(sys.modules.get("greenlet"), "getcurrent", lambda: None)()
    while getattr(greenlet, "parent", None) is not None:
        greenlet = greenlet.parent
    yield from _list_frames(getattr(greenlet, "gr_frame", None))


def _list_frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
