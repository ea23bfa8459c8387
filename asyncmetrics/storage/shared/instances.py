"""Numbers that distinguish programs which run on one host at the same time, and are the same after a restart.

*Theory of operation.* Each number of a job is a file in a directory of this user, with a lock and a text, the *group*:

1. *Free*: no process has the lock. A program takes the number whose last owner was of its own group, else the lowest
   free one. It writes its group: state 2.
2. *Owned*: a process has the lock. Its relatives, which have the same group, use the number without a lock; any other
   program goes on to the next number. The kernel releases the lock when the owner ends: state 1.

A program has number 0 where there can be no such file: on Windows, and in a read-only file system.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from hashlib import sha256
from typing import final

from asyncmetrics.interruptions import ignoring, pass_interruption
from asyncmetrics.storage.shared.discovery import choose_base
from asyncmetrics.storage.shared.files.directory import Directory
from asyncmetrics.storage.shared.files.process_lock import ProcessLock

__all__ = ("InstanceClaim", "claim_instance")

_log = logging.getLogger("asyncmetrics")
_MOST_NUMBERS = 256  # programs of one job on one host


@final
class InstanceClaim:
    """The ``number`` of this program, until `release`."""

    def __init__(self, number: int, group: str, lock: ProcessLock | None = None) -> None:
        self.number = number
        self._group = group
        self._lock = lock
        self._process = os.getpid()

    def keep(self, group: str) -> bool:
        """Return whether the number is this program's still: a forked process has none yet.

        Take the lock if a relative had it and has ended since. Let relatives know ``group``, which a program has from
        its first fork on.
        """
        if self._process != os.getpid():
            return False
        with ignoring(OSError):
            if self._lock is not None and self._lock.take() and group not in ("", self._group):
                self._group = group
                self._lock.write(group)
        return True

    def release(self) -> None:
        """Let another program take the number."""
        if self._lock is not None:
            self._lock.release()


def claim_instance(job: str, group: str) -> InstanceClaim:
    """Return a number for this program among those that have the same ``job``.

    Processes of one program have the same ``group``; an empty one stands for a program of one process.
    """
    # A process that shares from its fork on has the number that its parent had before.
    relatives = {group, *_OWN_GROUPS.values()} if group else {_get_own_group()}
    try:
        return _claim(sha256(job.encode("utf-8", "replace")).hexdigest()[:16], group or _get_own_group(), relatives)
    except (OSError, AttributeError) as error:  # Windows has no user ids
        pass_interruption(error)
        _log.warning("no instance number can be claimed, so this program has number 0: %s", error)
        return InstanceClaim(0, group)


def _claim(job: str, group: str, relatives: set[str]) -> InstanceClaim:
    directory = Directory(str(choose_base() / f"asyncmetrics-instances-{os.geteuid()}"))
    for number in (*_list_former_numbers(directory, job, relatives), *range(_MOST_NUMBERS)):
        lock = ProcessLock(directory, f"{job}.{number}")
        if lock.take():
            lock.write(group)
            return InstanceClaim(number, group, lock)
        if lock.read() in relatives:
            return InstanceClaim(number, group, lock)
    raise OSError(errno.EUSERS, f"all {_MOST_NUMBERS} numbers are in use")


def _list_former_numbers(directory: Directory, job: str, relatives: set[str]) -> Iterator[int]:
    """Yield the numbers that this program has had."""
    for number in range(_MOST_NUMBERS):
        text = ProcessLock(directory, f"{job}.{number}").read()
        if text in relatives:
            yield number
        elif not text:  # no number comes after one that was never used
            return


_OWN_GROUPS: dict[int, str] = {}  # by process: a forked one has another


def _get_own_group() -> str:
    """Return a text that no other process has."""
    return _OWN_GROUPS.setdefault(os.getpid(), f"{os.getpid()}-{os.urandom(8).hex()}")
