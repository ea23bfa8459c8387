"""Slots: which process owns which arena, by a lock that the kernel releases when its owner dies.

*Rules.*

* Hold the lock of ``s<k>.cells`` for as long as the worker lives.
* After a fork, close the child's copy of the file and never unlock it: that would release the parent's lock.
* Take no slot whose owner lives, also if the slot is not locked: the owner may have lost the lock, because another part
  of its process has closed all files. Its children still write to the cells.
* Do not change a slot that cannot be used: readers and an operator may still examine it.

*Theory of operation.* The states of a slot:

1. *Free*: no process holds an exclusive lock on the file of cells, and the process that the header names has ended or
   released the slot; or the file does not exist. `take_slot` looks for the lowest slot in this state, locks it and
   adopts it: state 2. It passes over slots that it cannot use.
2. *Owned*: a worker holds the exclusive lock, and its process id and start time are in the header. The kernel releases
   the lock when the process ends in any way: state 1, with the counts in the files. If the process continues,
   `release_slot` removes the process id first. `own_slot` leads a free slot here for a moment, to remove series of a
   dead worker.
3. *Lost*: the owner lives and does not hold the lock. `retake_slot` leads back to 2.
4. *Asked*: `is_owned` holds a shared lock on a free slot for a moment, then the slot is free again. On an owned slot it
   gets no lock, which answers the question.

A worker that tries to take a slot in state 4 gets no lock either. If it passed over the slot, a scrape would cost one
slot more. So if the owner that the header names is dead, it tries again a little later.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any
from weakref import WeakValueDictionary

from asyncmetrics.interruptions import ignoring, pass_interruption
from asyncmetrics.storage.lineage import read_start_time
from asyncmetrics.storage.shared.files.directory import Directory
from asyncmetrics.storage.shared.files.layout import PID, WORDS_BYTES, CorruptError, Header
from asyncmetrics.storage.shared.files.open_file import OpenFile

fcntl: Any = None
with suppress(ImportError):  # Windows has none; `Directory` raises an error there
    fcntl = import_module("fcntl")

__all__ = (
    "MAX_SLOTS",
    "find_last_declaration",
    "is_owned",
    "is_refused",
    "name_cells_file",
    "name_log_file",
    "own_slot",
    "release_slot",
    "retake_slot",
    "take_slot",
)

MAX_SLOTS = 4096  # more workers than one host runs: only a directory that is full of unusable files gets there
_LOCK_ATTEMPTS = 20  # with the pauses 40 ms: a reader holds its lock for two system calls, if nothing suspends it
_PAUSE_SECONDS = 0.002
_MAX_DECLARATIONS = 1 << 48  # a larger number is damaged; 2,000 a second take 4,000 years to get there
_LOCKS: WeakValueDictionary[tuple[int, int], OpenFile] = WeakValueDictionary()  # of the slots that this process took


def name_cells_file(number: int) -> str:
    """Return the name of the file with a slot's cells."""
    return f"s{number}.cells"


def name_log_file(number: int, generation: int) -> str:
    """Return the name of a slot's log of keys in one generation."""
    return f"s{number}.keys.{generation}"


def take_slot(directory: Directory, adopt: Callable[[int], None]) -> tuple[int, OpenFile, int]:
    """Lock and adopt the lowest free slot; return its number, its locked file, and how many slots were unusable.

    ``adopt`` is called with the number of a locked slot, and raises `CorruptError` if the slot cannot be used. Raises
    OSError if there is no free slot, or no room for its files.
    """
    passed_over = 0
    for number in range(MAX_SLOTS):
        try:
            file = directory.open(name_cells_file(number), os.O_RDWR | os.O_CREAT)
        except OSError as error:
            pass_interruption(error)
            if not is_refused(error) or directory.identify(name_cells_file(number)) is None:
                raise
            passed_over += 1  # a symbolic link, a directory, a file of another user
            continue
        try:
            if _lock_slot(directory, number, file, _is_owner_dead) and not _is_kept(file):
                adopt(number)
                _LOCKS[file.identity] = file
                return number, file, passed_over
        except CorruptError:
            passed_over += 1
        except BaseException:
            release_slot(file)  # the header may name this process already
            raise
        file.close()
    raise OSError(errno.EUSERS, f"all {MAX_SLOTS} slots are in use")


def retake_slot(directory: Directory, number: int, file: OpenFile) -> bool:
    """Lock a slot again whose locked file this process has lost; return whether it still is the owner.

    Raises OSError if the file cannot be opened.
    """
    directory.reopen(name_cells_file(number), os.O_RDWR, file)
    if _lock_slot(directory, number, file, _is_owned_here) and _is_owned_here(file):
        return True
    file.close()
    return False


def release_slot(file: OpenFile) -> None:
    """Release a slot through its locked file, so that the next worker may take it while this process lives."""
    with ignoring(OSError):
        if _is_owned_here(file):  # not after a fork
            file.write(bytes(8), 8 * PID)
    if _LOCKS.get(file.identity) is file:
        del _LOCKS[file.identity]
    file.close()


def is_refused(error: OSError) -> bool:
    """Return whether a file could not be opened because of its type, owner or permissions."""
    return error.errno in {
        errno.ELOOP,
        errno.EPERM,
        errno.EISDIR,
        errno.ENXIO,
        errno.EACCES,
        errno.EMLINK,
        errno.EEXIST,
    }


def find_last_declaration(directory: Directory) -> int:
    """Return the largest number of a declaration that the headers of all slots have, 0 without one."""
    last = 0
    for number in range(MAX_SLOTS):
        try:
            file = directory.open(name_cells_file(number), os.O_RDONLY)
        except OSError as error:
            pass_interruption(error)
            if error.errno == errno.ENOENT:  # no slot comes after one that does not exist
                break
            if not is_refused(error):
                raise
            continue
        with ignoring(OSError):
            header = _read_header(file)
            if header is not None and header.last_declared < _MAX_DECLARATIONS:
                last = max(last, header.last_declared)
        file.close()
    return last


@contextmanager
def own_slot(directory: Directory, number: int) -> Iterator[OpenFile]:
    """Own the slot of a dead worker while a ``with`` block runs, and yield its locked file.

    Raises OSError if the slot has an owner, or cannot be opened.
    """
    file = directory.open(name_cells_file(number), os.O_RDWR)
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_kept(file):
            raise BlockingIOError(errno.EWOULDBLOCK, "the owner lives")
        yield file
        fcntl.flock(file.fileno(), fcntl.LOCK_UN)  # a process that was forked in between holds the lock too
    finally:
        file.close()


def _lock_slot(directory: Directory, number: int, file: OpenFile, waits: Callable[[OpenFile], bool]) -> bool:
    """Return whether this process holds the lock now, and the locked file still is the slot's file.

    If another process has the lock, try again while ``waits(file)`` is true.
    """
    for _ in range(_LOCK_ATTEMPTS):
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pass_interruption(error)
            if not waits(file):
                return False
            time.sleep(_PAUSE_SECONDS)  # state 4: a reader is asking
        else:
            return directory.is_at(name_cells_file(number), file)
    return False


def _read_header(file: OpenFile) -> Header | None:
    with suppress(CorruptError):
        return Header.unpack(file.read(WORDS_BYTES, 0))
    return None


def _is_owned_here(file: OpenFile) -> bool:
    """Return whether the header names this process."""
    header = _read_header(file)
    return header is not None and header.pid == os.getpid()


def _is_kept(file: OpenFile) -> bool:
    """Return whether the owner that the header names lives, though ``file`` has the lock."""
    header = _read_header(file)
    if header is None or not header.start:
        return False
    if header.pid == os.getpid():  # another storage of this process, or what this process was before execve(2)
        return header.start == read_start_time(header.pid) and _LOCKS.get(file.identity, file) is not file
    return read_start_time(header.pid) == header.start


def _is_owner_dead(file: OpenFile) -> bool:
    """Return whether the header names an owner that has ended; one that is still adopting the slot has no start."""
    header = _read_header(file)
    return header is not None and header.start > 0 and read_start_time(header.pid) != header.start


def is_owned(file: OpenFile) -> bool:
    """Return whether the owner of a slot lives. Hold no lock through ``file``: this would release it."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pass_interruption(error)
        return True
    fcntl.flock(file.fileno(), fcntl.LOCK_UN)
    return False
