"""An open file, which knows whether its descriptor still is its own.

*Rules.*

* Hold no descriptor as a number: another part of the process may close it and open another file, which gets the same
  number. `os.closerange` of a process that becomes a daemon does so.
* Ask for the number with `OpenFile.fileno` before each system call, and use it for that call alone. Then nothing is
  read from, written to, or closed that is not ours.
* Read and write at offsets only, which leaves the position of the file alone.

*Theory of operation.* The states of an open file:

1. *Closed*: there is no descriptor. `OpenFile.open` leads to 2, also from 3.
2. *Open*: the descriptor is the file's own. The *mark* shows it: the position of the file, which nothing else uses.
   Each opening sets another one, so that the mark also distinguishes two openings of one file. A directory has no such
   position; its mark is its device and inode. `OpenFile.close` leads back to 1.
3. *Lost*: the descriptor had another mark when it was asked for, or was closed. The number is forgotten and not closed.
"""

from __future__ import annotations

import errno
import os
import stat
from functools import partial
from itertools import count
from typing import final

from asyncmetrics.interruptions import ignoring, pass_interruption

__all__ = ("OpenFile", "allocate")

_FILE_MODE = 0o600
_MARKS = count(1 << 40)  # 1 TiB: no file of the application is read there; ext3 ends at 2 TiB
_ZEROS = bytes(1 << 16)  # 64 KiB a call: the size by which files of cells grow first
_NO_ALLOCATION = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)  # posix_fallocate(3): the file system cannot do it


@final
class OpenFile:
    """A file or directory that `open` opens; closed at first, and when the object is freed.

    ``identity`` is its device and inode. ``is_lost`` is whether another part of the process has ever closed it. Each
    method raises OSError with EBADF if the file is closed or lost.
    """

    # Here, because an exception of a signal handler may interrupt `__init__`.
    is_lost = False
    identity = (0, 0)
    _has_no_position = False
    _mark: object = None
    _numbers: list[int] = []  # never changed

    def __init__(self) -> None:
        self._numbers = []  # the descriptor, if the file is open

    def open(self, path: str, flags: int, directory: int | None = None) -> os.stat_result:
        """Open ``path``, relative to the open ``directory`` if there is one; return the status. Raises OSError."""
        if self._numbers:
            self.close()
        self._mark = None
        # O_NONBLOCK: opening a named pipe would wait for its other end.
        flags |= os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        open_one = partial(os.open, mode=_FILE_MODE, dir_fd=directory)
        # One call opens the file and stores its number: an exception of a signal handler cannot come in between, which
        # would leave a file open, perhaps with a lock on it.
        self._numbers.extend(map(open_one, (path,), (flags,)))
        status = os.fstat(self._numbers[0])
        self.identity = (status.st_dev, status.st_ino)
        self._has_no_position = not stat.S_ISREG(status.st_mode)
        self._mark = self.identity if self._has_no_position else os.lseek(self._numbers[0], next(_MARKS), os.SEEK_SET)
        return status

    def fileno(self) -> int:
        """Return the descriptor, for one system call."""
        if self._mark is None:
            self.close()  # an exception of a signal handler has interrupted `open`
        for number in self._numbers:
            try:
                # lseek(2) takes 0.26 µs, fstat(2) 0.96; each new series asks: benchmarks/workers.py
                mark = _identify(number) if self._has_no_position else os.lseek(number, 0, os.SEEK_CUR)
            except OSError as error:
                pass_interruption(error)
                mark = None
            if mark == self._mark:
                return number
            self.is_lost = True
            self._numbers, self._mark = [], None
        raise OSError(errno.EBADF, "the file was closed")

    def is_open(self) -> bool:
        """Return whether the file is open."""
        try:
            self.fileno()
        except OSError as error:
            pass_interruption(error)
            return False
        return True

    def status(self) -> os.stat_result:
        """Return the status of the file."""
        return os.fstat(self.fileno())

    def read(self, length: int, offset: int) -> bytes:
        """Return ``length`` bytes from ``offset`` on, fewer only at the end of the file."""
        data = os.pread(self.fileno(), length, offset)
        while 0 < len(data) < length:  # pread(2) may return fewer bytes than asked, also before the end of the file
            more = os.pread(self.fileno(), length - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def write(self, data: bytes, offset: int) -> None:
        """Write all of ``data`` from ``offset`` on. Raises OSError; then a part of it may be written."""
        written = os.pwrite(self.fileno(), data, offset)
        while written < len(data):  # a full disk may take a part of it, and then nothing
            more = os.pwrite(self.fileno(), data[written:], offset + written)
            if not more:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written += more

    def close(self) -> None:
        """Close the file, unless it is closed or lost."""
        # Without a mark, an exception of a signal handler has interrupted `open` a moment ago.
        if self._mark is None or self.is_open():
            # One call takes the number and closes it: neither an exception of a signal handler nor another thread comes
            # in between.
            with ignoring(IndexError, OSError):
                next(map(os.close, map(list.pop, (self._numbers,))))

    def __del__(self) -> None:
        if self._numbers:  # Python drops the exception of a signal handler that interrupts this, so be short
            self.close()


def _identify(number: int) -> tuple[int, int]:
    status = os.fstat(number)
    return status.st_dev, status.st_ino


def allocate(file: OpenFile, start: int, length: int) -> None:
    """Allocate ``length`` bytes of a file, so that writing to them cannot fail. Raises OSError if there is no room.

    A file that is only made longer has holes, and a full disk is found out by SIGBUS when they are written to.
    """
    try:
        os.posix_fallocate(file.fileno(), start, length)
    except AttributeError:  # macOS
        _write_zeros(file, start, length)
    except OSError as error:
        pass_interruption(error)
        if error.errno not in _NO_ALLOCATION:
            raise
        _write_zeros(file, start, length)


def _write_zeros(file: OpenFile, start: int, length: int) -> None:
    for position in range(start, start + length, len(_ZEROS)):
        file.write(_ZEROS[: start + length - position], position)
