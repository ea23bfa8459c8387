"""Slots: who owns which arena, by a lock that the kernel drops with its owner.

*Rules.* The lock of ``s<k>.cells`` is held for as long as its owner lives. After a fork the child closes its copy of
the descriptor and never unlocks it: that would be the parent's lock. A slot that cannot be used is left as it is.

*Theory of operation.* A worker takes the lowest slot that is free. Whoever asks whether an owner lives takes a shared
lock for a moment, which a worker that begins just then must not take for an owner: it looks twice where the owner that
the header names is dead.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

from asyncmetrics.storage.shared.files.directory import Directory
from asyncmetrics.storage.shared.files.layout import HEADER_BYTES, CorruptError, Header
from asyncmetrics.storage.shared.files.processes import read_start_time

fcntl: Any = None
with suppress(ImportError):  # on Windows, where there is no `Directory` either
    fcntl = import_module("fcntl")

__all__ = ("MAX_SLOTS", "cells_name", "is_owned", "is_refused", "keys_name", "owning", "take_slot")

MAX_SLOTS = 4096
_LOOKS = 20
_PAUSE = 0.002


def cells_name(number: int) -> str:
    """Return what the file with a slot's cells is called."""
    return f"s{number}.cells"


def keys_name(number: int, generation: int) -> str:
    """Return what a slot's log of keys is called."""
    return f"s{number}.keys.{generation}"


def take_slot(directory: Directory, adopt: Callable[[int], None]) -> tuple[int, int, int]:
    """Lock the lowest free slot; return its number, the file it is locked by, and how many were passed over.

    ``adopt`` takes a slot over once it is locked, and raises `CorruptError` for one that is of no use. Raises OSError
    where there is none, or no room for one.
    """
    passed_over = 0
    for number in range(MAX_SLOTS):
        try:
            descriptor = directory.open(cells_name(number), os.O_RDWR | os.O_CREAT)
        except OSError as error:
            if not is_refused(error) or not directory.has(cells_name(number)):
                raise
            passed_over += 1  # a symbolic link, a directory, somebody else's file
            continue
        try:
            if _locked(directory, number, descriptor):
                adopt(number)
                return number, descriptor, passed_over
        except CorruptError:
            passed_over += 1
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise OSError(errno.EUSERS, f"all {MAX_SLOTS} slots are taken")


def is_refused(error: OSError) -> bool:
    """Tell whether a file could not be opened for what it is, or whose."""
    return error.errno in {errno.ELOOP, errno.EPERM, errno.EISDIR, errno.ENXIO, errno.EACCES, errno.EMLINK}


@contextmanager
def owning(directory: Directory, number: int) -> Iterator[int]:
    """Be the owner of a dead worker's slot for a moment. Raises OSError if it has one, or cannot be opened."""
    descriptor = directory.open(cells_name(number), os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # for whoever was forked meanwhile as well
    finally:
        os.close(descriptor)


def _locked(directory: Directory, number: int, descriptor: int) -> bool:
    for _ in range(_LOOKS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not _owner_is_dead(descriptor):
                return False
            time.sleep(_PAUSE)  # a scraper is asking; it lets go at once
        else:
            return directory.is_at(cells_name(number), descriptor)
    return False


def _owner_is_dead(descriptor: int) -> bool:
    with suppress(CorruptError):
        header = Header.unpack(os.pread(descriptor, HEADER_BYTES, 0))
        if header is not None and header.start:
            return read_start_time(header.pid) != header.start
    return False


def is_owned(descriptor: int) -> bool:
    """Tell whether the owner of a slot lives; ``descriptor`` is one that no lock is held through."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False
