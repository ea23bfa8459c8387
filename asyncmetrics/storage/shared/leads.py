"""`SharedLead`: the lead of one name among the workers that share a directory, by a lock on a file in it.

The kernel releases the lock at the end of its owner, also at ``kill -9``. All leads of one name in a process have one
lock, which is released with the last of them.
"""

from __future__ import annotations

import os
from typing import final
from weakref import WeakSet, WeakValueDictionary
from zlib import crc32

from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.storage.leads import Lead
from asyncmetrics.storage.shared.files.directory import Directory
from asyncmetrics.storage.shared.files.process_lock import ProcessLock
from asyncmetrics.storage.shared.worker import Worker

__all__ = ("SharedLead",)


@final
class SharedLead(Lead):
    """The lead ``name`` of the registry ``space`` in the directory of ``worker``."""

    def __init__(self, worker: Worker, space: str, name: str) -> None:
        self._worker = worker
        # Names of spaces are of any length and have any letters.
        self._file_name = f"lead.{crc32(space.encode()):08x}.{name}" if space else f"lead.{name}"
        self._lock: _LeadLock | None = None

    def is_leader(self) -> bool:
        """Return whether this process leads. A process that cannot share keeps its numbers for itself, so it leads."""
        try:
            self._worker.do(self._worker.reattach)
            directory = self._worker.directory
            if directory is None or self._worker.problem:
                return True
            if self._lock is None or not self._lock.is_in(directory):
                self.release()
                self._lock = _find_lock(directory, self._file_name)
            return self._lock.take(self)
        except OSError as error:  # the directory was removed: the next call finds the new one
            pass_interruption(error)
            return False

    @property
    def has_predecessor(self) -> bool:
        """Whether another process has led before this one."""
        return self._lock is not None and self._lock.has_predecessor

    @property
    def group(self) -> str:
        """The path of the directory."""
        return self._worker.path

    def release(self) -> None:
        """Stop leading."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release(self)

    def __del__(self) -> None:
        self.release()


@final
class _LeadLock:
    """The lock of one lead in this process, and the objects that lead by it."""

    def __init__(self, directory: Directory, name: str) -> None:
        self.has_predecessor = False
        self._directory = directory
        self._lock = ProcessLock(directory, name)
        self._leads: WeakSet[SharedLead] = WeakSet()
        self._process = 0  # that leads by this lock

    def is_in(self, directory: Directory) -> bool:
        """Return whether the lock is in this directory, which another storage of this process may have opened too."""
        return self._directory.path == directory.path and self._directory.is_at_path()

    def take(self, lead: SharedLead) -> bool:
        """Return whether this process has the lock; let ``lead`` lead by it then."""
        if not self._lock.take():
            return False
        self._leads.add(lead)
        if self._process != os.getpid():  # it begins to lead
            before = self._lock.read()
            self._process = os.getpid()
            mark = _MARKS.setdefault(self._process, os.urandom(8).hex())
            self.has_predecessor = before not in ("", mark)
            self._lock.write(mark)
        return True

    def release(self, lead: SharedLead) -> None:
        """Release the lock, unless another lead of this process leads by it."""
        self._leads.discard(lead)
        if not self._leads:
            self._process = 0
            self._lock.release()


_MARKS: dict[int, str] = {}  # what a leader writes, by process: ids of processes come again
_LEAD_LOCKS: WeakValueDictionary[tuple[str, str], _LeadLock] = WeakValueDictionary()


def _find_lock(directory: Directory, name: str) -> _LeadLock:
    """Return the lock of a file, one for all leads of this process."""
    key = directory.path, name
    lock = _LEAD_LOCKS.get(key)
    if lock is None or not lock.is_in(directory):
        lock = _LEAD_LOCKS[key] = _LeadLock(directory, name)
    return lock
