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
from pathlib import Path
from typing import final

from asyncmetrics.errors import StorageError
from asyncmetrics.interruptions import ignoring, pass_interruption
from asyncmetrics.storage.shared.files.open_file import OpenFile

__all__ = ("Directory",)

_DIRECTORY_MODE = 0o700
_WRITABLE_BY_OTHERS = 0o022
_INSIDE = "Name a directory inside it, which will be made"


@final
class Directory:
    """An open directory. Raises `StorageError` for one that cannot be made, opened or trusted.

    ``remedy`` says in the message of the error what to do about one that is not trusted.
    """

    def __init__(self, path: str, *, create: bool = True, remedy: str = _INSIDE) -> None:
        self.path = str(Path(path).absolute())
        self._remedy = remedy
        self._file = OpenFile()
        if not hasattr(os, "O_DIRECTORY") or not hasattr(os, "register_at_fork"):
            raise StorageError(self.path, "workers can share metrics on Unix only", errno.ENOTSUP)
        try:
            if create:
                _make(Path(self.path), _DIRECTORY_MODE)
            status = self._file.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            pass_interruption(error)
            raise StorageError(self.path, _explain(error), error.errno or errno.EIO) from error
        self._owner = status.st_uid
        problem = _find_problem(status, remedy)
        if problem:
            self.close()
            raise StorageError(self.path, problem, errno.EPERM)

    def is_sound(self) -> bool:
        """Return whether the directory is trusted, and open it again if another part of the process has closed it.

        A process that becomes a daemon closes all its files, and a worker may change its user.
        """
        return not self.find_problem()

    def find_problem(self) -> str:
        """Return why the directory cannot be used, or an empty string."""
        try:
            return _find_problem(os.fstat(self._get_number()), self._remedy)
        except OSError as error:
            pass_interruption(error)
            return str(error)

    def _get_number(self) -> int:
        """Return the descriptor, for one system call."""
        try:
            return self._file.fileno()
        except OSError as error:
            pass_interruption(error)
            if not self._file.is_lost:
                raise
            _open_again(self._file, self.path, os.O_RDONLY | os.O_DIRECTORY)
            return self._file.fileno()

    @property
    def is_open(self) -> bool:
        """Whether the directory is open."""
        return self._file.is_open()

    def is_at_path(self) -> bool:
        """Return whether the path leads to this directory, and not to a newer one or to none."""
        with ignoring(OSError):
            return os.path.samestat(os.fstat(self._get_number()), os.lstat(self.path))
        return False

    def has_parent(self) -> bool:
        """Return whether the directory that this one was made in is there."""
        with ignoring(OSError):
            return stat.S_ISDIR(os.stat(Path(self.path).parent).st_mode)  # noqa: PTH116  # see `_make`
        return False

    def is_foreign(self) -> bool:
        """Return whether this process has changed its user since, and may not use the directory any more."""
        return os.geteuid() != self._owner

    def open(self, name: str, flags: int) -> OpenFile:
        """Open a file of the directory. Raises OSError, with EPERM for a file that is not trusted."""
        if not flags & os.O_CREAT:  # most slots that a reader asks for do not exist
            _check_file(name, os.stat(name, dir_fd=self._get_number(), follow_symlinks=False))
        file = OpenFile()
        _check_file(name, file.open(name, flags, self._get_number()))
        return file

    def reopen(self, name: str, flags: int, file: OpenFile) -> None:
        """Open a file again that is lost. Raises OSError, also if another file has the name now."""
        _check_file(name, _open_again(file, name, flags, self._get_number()))

    def is_at(self, name: str, file: OpenFile) -> bool:
        """Return whether the open file is the one that has this name now."""
        return self.identify(name) == file.identity

    def identify(self, name: str) -> tuple[int, int] | None:
        """Return the device and inode of an entry of the directory, None if there is none with this name."""
        with ignoring(OSError):
            status = os.stat(name, dir_fd=self._get_number(), follow_symlinks=False)
            return status.st_dev, status.st_ino
        return None

    def unlink(self, name: str) -> None:
        """Remove a file; a missing file is no error."""
        with ignoring(OSError):
            os.unlink(name, dir_fd=self._get_number())

    def list_names(self) -> list[str]:
        """Return the names of all entries of the directory."""
        return os.listdir(self._get_number())  # noqa: PTH208  # pathlib would list what the path leads to now

    def close(self) -> None:
        """Close the directory; files that were opened through it stay open."""
        self._file.close()


def _make(path: Path, mode: int = 0o777) -> None:
    """Make a directory, and its parents, unless they are there."""
    try:
        with ignoring(FileExistsError):
            os.mkdir(path, mode)  # noqa: PTH102  # `Path.mkdir` may swallow what a signal handler raises
    except FileNotFoundError as error:
        pass_interruption(error)
        _make(path.parent)
        with ignoring(FileExistsError):
            os.mkdir(path, mode)  # noqa: PTH102


def _find_problem(status: os.stat_result, remedy: str) -> str:
    """Return why a directory is not trusted, or an empty string."""
    if status.st_uid != os.geteuid():
        return f"it belongs to user {status.st_uid}, and this process runs as user {os.geteuid()}. {remedy}."
    if status.st_mode & _WRITABLE_BY_OTHERS:
        return f"others may write to it (mode {stat.S_IMODE(status.st_mode):o}). {remedy}, or chmod 700 it."
    return ""


def _open_again(file: OpenFile, path: str, flags: int, directory: int | None = None) -> os.stat_result:
    identity = file.identity
    status = file.open(path, flags, directory)
    if file.identity != identity:
        file.close()
        file.identity = identity
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)
    return status


def _check_file(name: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink > 1:
        raise PermissionError(errno.EPERM, "expected a regular file of this user with one name", name)


def _explain(error: OSError) -> str:
    if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.EEXIST}:
        return "expected a directory, and no symbolic link to one"
    return f"it cannot be used: {error.strerror}"
