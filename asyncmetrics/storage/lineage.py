"""The program that a process descends from: up the chain of forks, and of processes that ``multiprocessing`` started.

*Rules.* Ask the kernel only, so that every process of the chain finds the same root. If in doubt, end the chain.

*Theory of operation.* `find_root` goes from a process to its parent for as long as one of these holds:

1. The parent has forked it: both have the same *image*, which is what the kernel put into memory when it last executed
   a program there (``/proc/<pid>/auxv``). The image holds random addresses, so no two programs have the same one.
   A process that has changed its user cannot read it; equal command lines show the fork then.
2. This process has seen the fork itself (`record_fork`).
3. The command line is one that ``multiprocessing`` uses for a process that it spawns, or for its fork server.

Without ``/proc`` only 2 can hold, for the direct parent.
"""

from __future__ import annotations

import os

from asyncmetrics.interruptions import ignoring

__all__ = ("find_root", "is_forked", "is_own_fork", "read_image", "read_start_time", "record_fork")

_SPAWNED = (b"--multiprocessing-fork", b"from multiprocessing.forkserver import main")
_MOST_BYTES = 1 << 16  # of a command line
_forked_by: set[int] = set()  # the ids of the processes between the first one and this one


def record_fork(parent: int) -> None:
    """Remember that ``parent`` has forked this process; it may have ended since."""
    _forked_by.add(parent)


def is_own_fork(pid: int) -> bool:
    """Return whether this process is ``pid``, or has been forked by it: then both have the same hash secret."""
    return pid == os.getpid() or pid in _forked_by


def is_forked() -> bool:
    """Return whether the process that forked this one is still its parent."""
    return _has_forked(os.getppid(), os.getpid())


def find_root(pid: int) -> int:
    """Return the id of the process where the chain that leads up from ``pid`` ends; ``pid`` itself if there is none."""
    while True:
        parent = _read_parent(pid)
        if not parent or not (_has_forked(parent, pid) or _is_spawned(parent, pid)):
            return pid
        pid = parent


def read_image(pid: int) -> bytes:
    """Return bytes that other users cannot know and that a process has in common with its forks, or no bytes."""
    return _read(pid, "auxv")


def read_start_time(pid: int) -> int:
    """Return when a process started, in clock ticks since the boot; 0 if it has ended or cannot be seen."""
    fields = _read_status(pid)
    # A zombie has ended, but its parent does not know yet.
    return int(fields[19]) if fields and fields[0] not in {b"Z", b"X"} else 0


def _read_status(pid: int) -> list[bytes]:
    """Return the fields of proc_pid_stat(5) from the third one on."""
    # The name, field 2, may contain anything, so count from its closing parenthesis.
    return _read(pid, "stat").rpartition(b")")[2].split()


def _read(pid: int, name: str) -> bytes:
    # Not by pathlib, which imports a parser of URLs that a program may not need.
    with ignoring(OSError), open(f"/proc/{pid}/{name}", "rb", buffering=0) as file:  # noqa: PTH123  # as above
        return file.read(_MOST_BYTES)
    return b""


def _read_parent(pid: int) -> int:
    if pid == os.getpid():
        return os.getppid()
    fields = _read_status(pid)
    return int(fields[1]) if fields else 0


def _has_forked(parent: int, pid: int) -> bool:
    if parent in _forked_by and is_own_fork(pid):
        return True
    images = read_image(parent), read_image(pid)
    if all(images):
        return images[0] == images[1]
    commands = _read(parent, "cmdline"), _read(pid, "cmdline")
    return all(commands) and commands[0] == commands[1]


def _is_spawned(parent: int, pid: int) -> bool:
    """Return whether ``multiprocessing`` in ``parent`` has spawned ``pid``; an orphan has another program as parent."""
    command = _read(pid, "cmdline")
    return any(marker in command for marker in _SPAWNED) and _read_program(parent) == _read_program(pid)


def _read_program(pid: int) -> str:
    with ignoring(OSError):
        return os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115  # as above
    return ""
