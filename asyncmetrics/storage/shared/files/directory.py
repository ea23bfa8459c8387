"""The directory that workers share, and its files: opened relative to the directory, and checked.

*Rules.*

* Trust a directory only if it belongs to this user and no other user may write to it.
* Trust a file only if it is a regular file of this user with one name (one hard link).
* Follow no symbolic link, neither to the directory nor to a file.
* Refuse everything else, with a message that says what to do.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import final

from asyncmetrics.errors import StorageError

__all__ = ("Directory", "allocate", "close_file")

_FILE_MODE = 0o600
_DIRECTORY_MODE = 0o700
_WRITABLE_BY_OTHERS = 0o022
_ZEROS = bytes(1 << 16)  # 64 KiB a call: the size by which files of cells grow first
_NO_ALLOCATION = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)  # posix_fallocate(3): the file system cannot do it


@final
class Directory:
    """An open directory. Raises `StorageError` for one that cannot be made, opened or trusted."""

    def __init__(self, path: str, *, create: bool = True) -> None:
        self.path = str(Path(path).absolute())
        self.fd = -1
        if not hasattr(os, "O_DIRECTORY") or not hasattr(os, "register_at_fork"):
            raise StorageError(self.path, "workers can share metrics on Unix only", errno.ENOTSUP)
        try:
            if create:
                self._make()
            self.fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise StorageError(self.path, _explain(error), error.errno or errno.EIO) from error
        status = os.fstat(self.fd)
        self._identity = status.st_dev, status.st_ino
        problem = _find_problem(status)
        if problem:
            self.close()
            raise StorageError(self.path, problem, errno.EPERM)

    def is_sound(self) -> bool:
        """Return whether the directory is still open and trusted.

        A process that becomes a daemon closes all its files, and a worker may change its user.
        """
        try:
            status = os.fstat(self.fd)
        except OSError:
            status = None
        if status is None or (status.st_dev, status.st_ino) != self._identity:
            self.fd = -1  # do not close it: another file may have this number by now
            return False
        return not _find_problem(status)

    def _make(self) -> None:
        path = Path(self.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.mkdir(mode=_DIRECTORY_MODE)

    def open(self, name: str, flags: int) -> int:
        """Open a file of the directory. Raises OSError, with EPERM for a file that is not trusted."""
        # O_NONBLOCK: opening a named pipe would wait for its other end.
        descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, _FILE_MODE, dir_fd=self.fd)
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink <= 1:
            return descriptor
        os.close(descriptor)
        raise PermissionError(errno.EPERM, "expected a regular file of this user with one name", name)

    def is_at(self, name: str, descriptor: int) -> bool:
        """Return whether the open file is the one that has this name now."""
        try:
            named = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except OSError:
            return False
        return os.path.samestat(named, os.fstat(descriptor))

    def has(self, name: str) -> bool:
        """Return whether the directory has an entry with this name."""
        with suppress(OSError):
            os.stat(name, dir_fd=self.fd, follow_symlinks=False)
            return True
        return False

    def unlink(self, name: str) -> None:
        """Remove a file; a missing file is no error."""
        with suppress(OSError):
            os.unlink(name, dir_fd=self.fd)

    def list_names(self) -> list[str]:
        """Return the names of all entries of the directory."""
        return os.listdir(self.fd)  # noqa: PTH208  # pathlib would list what the path leads to now

    def close(self) -> None:
        """Close the directory; files that were opened through it stay open."""
        self.fd = close_file(self.fd)

    def __del__(self) -> None:
        self.close()


def close_file(descriptor: int) -> int:
    """Close a file, unless its descriptor is -1; return -1, which stands for a closed file."""
    if descriptor >= 0:
        os.close(descriptor)
    return -1


def _find_problem(status: os.stat_result) -> str:
    """Return why a directory is not trusted, or an empty string."""
    inside = "Name a directory inside it, which will be made"
    if status.st_uid != os.geteuid():
        return f"it belongs to user {status.st_uid}, and this process runs as user {os.geteuid()}. {inside}."
    if status.st_mode & _WRITABLE_BY_OTHERS:
        return f"others may write to it (mode {stat.S_IMODE(status.st_mode):o}). {inside}, or chmod 700 it."
    return ""


def _explain(error: OSError) -> str:
    if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.EEXIST}:
        return "expected a directory, and no symbolic link to one"
    return f"it cannot be used: {error.strerror}"


def allocate(descriptor: int, start: int, length: int) -> None:
    """Allocate ``length`` bytes of a file, so that writing to them cannot fail. Raises OSError if there is no room.

    A file that is only made longer has holes, and a full disk is found out by SIGBUS when they are written to.
    """
    try:
        os.posix_fallocate(descriptor, start, length)
    except AttributeError:  # macOS
        _write_zeros(descriptor, start, length)
    except OSError as error:
        if error.errno not in _NO_ALLOCATION:
            raise
        _write_zeros(descriptor, start, length)


def _write_zeros(descriptor: int, start: int, length: int) -> None:
    end = start + length
    while start < end:
        start += os.pwrite(descriptor, _ZEROS[: end - start], start)
