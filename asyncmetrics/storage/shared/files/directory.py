"""The directory that workers share, and the files in it: opened relative to it, checked, and never followed elsewhere.

*Rules.* A directory belongs to this user and nobody else may write to it; neither it nor a file in it may be a symbolic
link; a file is a regular one of this user with one name. Whatever is not so is refused, with what to do about it.
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
_ZEROS = bytes(1 << 16)
_NO_ALLOCATION = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


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
            raise StorageError(self.path, _explained(error), error.errno or errno.EIO) from error
        found = os.fstat(self.fd)
        self._identity = found.st_dev, found.st_ino
        problem = _distrusted(found)
        if problem:
            self.close()
            raise StorageError(self.path, problem, errno.EPERM)

    def is_sound(self) -> bool:
        """Tell whether this still is open, and of this user: a daemon closes all files, a worker changes its user."""
        try:
            found = os.fstat(self.fd)
        except OSError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._identity:
            self.fd = -1  # the number may be another file's by now
            return False
        return not _distrusted(found)

    def _make(self) -> None:
        path = Path(self.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.mkdir(mode=_DIRECTORY_MODE)

    def open(self, name: str, flags: int) -> int:
        """Open a file of the directory. Raises OSError, with EPERM for one that is not to be trusted."""
        descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, _FILE_MODE, dir_fd=self.fd)
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink <= 1:
            return descriptor
        os.close(descriptor)
        raise PermissionError(errno.EPERM, "expected a regular file of this user with one name", name)

    def is_at(self, name: str, descriptor: int) -> bool:
        """Tell whether the open file is the one that has this name now."""
        try:
            named = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except OSError:
            return False
        return os.path.samestat(named, os.fstat(descriptor))

    def has(self, name: str) -> bool:
        """Tell whether there is anything of this name."""
        with suppress(OSError):
            os.stat(name, dir_fd=self.fd, follow_symlinks=False)
            return True
        return False

    def unlink(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""
        with suppress(OSError):
            os.unlink(name, dir_fd=self.fd)

    def names(self) -> list[str]:
        """Return the names of what is in the directory."""
        return os.listdir(self.fd)  # noqa: PTH208  # of the open directory, whatever its path leads to now

    def close(self) -> None:
        """Close it; what was opened through it stays open."""
        self.fd = close_file(self.fd)

    def __del__(self) -> None:
        self.close()


def close_file(descriptor: int) -> int:
    """Close a file that is open and return what stands for one that is not."""
    if descriptor >= 0:
        os.close(descriptor)
    return -1


def _distrusted(found: os.stat_result) -> str:
    inside = "Name a directory inside it, which will be made"
    if found.st_uid != os.geteuid():
        return f"it belongs to user {found.st_uid}, and this process is of user {os.geteuid()}. {inside}."
    if found.st_mode & _WRITABLE_BY_OTHERS:
        return f"others may write to it (mode {stat.S_IMODE(found.st_mode):o}). {inside}, or chmod 700 it."
    return ""


def _explained(error: OSError) -> str:
    if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.EEXIST}:
        return "expected a directory, and no symbolic link to one"
    return f"it cannot be used: {error.strerror}"


def allocate(descriptor: int, start: int, length: int) -> None:
    """Give a file so many more bytes, which then exist: writing to them cannot fail. Raises OSError if there are none.

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
