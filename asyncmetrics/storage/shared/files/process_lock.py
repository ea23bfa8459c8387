"""`ProcessLock`: a lock between processes, which the kernel releases when its owner ends in any way.

*Rules.*

* After a fork, close the child's copy of the file and never unlock it: that would release the parent's lock. The copy
  must not stay open either: it would hold the lock after the end of the parent.
* Unlock before closing: a process that is being forked at this moment has a copy of the file.
* Take no lock of a thread: `take` may be called by a signal handler or a finaliser.

*Theory of operation.* The states of a lock in one process:

1. *Free*: no file is open. `ProcessLock.take` opens the file and asks the kernel for the lock: state 2, or 1 again if
   another process has it.
2. *Held*: the file is open and locked. `ProcessLock.take` finds that out by two system calls. `ProcessLock.release`,
   the end of the process, and a fork in the child lead to 1.
3. *Lost*: another part of the process has closed the file, or another file has its name now. The next `take` finds
   that out and goes on as in 1.
"""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module
from threading import Lock
from typing import Any, final
from weakref import WeakSet

from asyncmetrics.interruptions import ignoring, pass_interruption
from asyncmetrics.storage.shared.files.directory import Directory
from asyncmetrics.storage.shared.files.open_file import OpenFile

fcntl: Any = None
with suppress(ImportError):  # Windows has none; `Directory` raises an error there
    fcntl = import_module("fcntl")

__all__ = ("ProcessLock",)

_MOST_BYTES = 4096  # of the text that an owner leaves


@final
class ProcessLock:
    """The lock on the file ``name`` of ``directory``. The owner may leave a ``text`` there for later owners."""

    def __init__(self, directory: Directory, name: str) -> None:
        self._directory = directory
        self._name = name
        self._file = OpenFile()
        self._is_held = False
        self._busy = Lock()
        _LOCKS.add(self)

    def take(self) -> bool:
        """Return whether this process holds the lock; take it if it is free. Raises OSError if there can be no file."""
        if not self._busy.acquire(blocking=False):  # another thread, or the code that a signal handler interrupted
            return self._is_held
        try:
            self._is_held = self._is_kept() or self._try()
            return self._is_held
        finally:
            self._busy.release()

    def _is_kept(self) -> bool:
        return self._is_held and self._file.is_open() and self._directory.is_at(self._name, self._file)

    def _try(self) -> bool:
        self._file = file = self._directory.open(self._name, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pass_interruption(error)
            file.close()
            return False
        return self._directory.is_at(self._name, file)

    def read(self) -> str:
        """Return the text of the last owner, whether or not it holds the lock still; empty if there is none."""
        with ignoring(OSError, ValueError):
            file = self._directory.open(self._name, os.O_RDONLY)
            try:
                return file.read(_MOST_BYTES, 0).decode("utf-8")
            finally:
                file.close()
        return ""

    def write(self, text: str) -> None:
        """Leave ``text`` for later owners, who may read it also after the end of this process."""
        with ignoring(OSError):
            os.ftruncate(self._file.fileno(), 0)
            self._file.write(text.encode("utf-8")[:_MOST_BYTES], 0)

    def release(self) -> None:
        """Release the lock, if this process holds it."""
        was_held, self._is_held = self._is_held, False
        if was_held:
            with ignoring(OSError):
                fcntl.flock(self._file.fileno(), fcntl.LOCK_UN)
        self._file.close()

    def forget(self) -> None:
        """Close the copy of the file in a forked process."""
        self._busy = Lock()  # a thread of the parent may have held it
        self._is_held = False
        self._file.close()


_LOCKS: WeakSet[ProcessLock] = WeakSet()


def _forget_after_fork() -> None:
    for lock in list(_LOCKS):
        lock.forget()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_after_fork)
