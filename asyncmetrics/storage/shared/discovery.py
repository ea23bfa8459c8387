"""The directory that the workers of one supervisor share by default, if ``ASYNCMETRICS_DIR`` does not name one.

*Theory of operation.* Each supervisor has its own directory:

1. Before its first worker starts, there is none. The name follows from the supervisor alone, so all its workers choose
   the same: ``asyncmetrics-<user>-<boot>-<namespace>-<pid>-<start>``. The start time distinguishes a supervisor from a
   later process with the same id; boot and namespace of process ids say where the id is valid.
2. The first worker finds no directory of this name. It removes the directories of supervisors that have ended, unless
   a worker still owns a slot there, and makes its own.
3. The supervisor and its workers have ended: the directory stays, with the last counts, until the next supervisor's
   first worker removes it in step 2.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from asyncmetrics.errors import StorageError
from asyncmetrics.storage.shared.files.directory import Directory
from asyncmetrics.storage.shared.files.processes import read_start_time
from asyncmetrics.storage.shared.files.slots import is_owned
from asyncmetrics.storage.shared.supervisors import Supervisor, find_supervisor, is_being_prepared

__all__ = ("NoWorkerError", "choose_path", "find_directory", "open_directory")

_PREFIX = "asyncmetrics"


class NoWorkerError(StorageError):
    """This process is no worker of a server, so it shares its metrics with no other process."""


def choose_path(supervisor: Supervisor) -> str:
    """Return the path of the directory of a supervisor's workers; if it is new, remove old ones beside it."""
    base = _choose_base()
    machine = f"{os.geteuid()}-{_read_boot_id()}-{_read_pid_namespace()}"
    path = base / f"{_PREFIX}-{machine}-{supervisor.pid}-{supervisor.start}"
    if not path.exists():
        for old in list(_list_leftovers(base)):
            with suppress(OSError):
                _remove(old)
    return str(path)


def find_directory() -> Directory | None:
    """Return the directory of this process's supervisor, None while `is_being_prepared`.

    Raises `NoWorkerError` if the process is no worker, and `StorageError` if the directory cannot be used.
    """
    if is_being_prepared():
        return None
    supervisor = find_supervisor()
    if supervisor is None:
        raise NoWorkerError("", "this process is no worker of a server", errno.ENOENT)
    return open_directory(supervisor)


def open_directory(supervisor: Supervisor) -> Directory:
    """Return the directory of a supervisor's workers. Raises `StorageError` if it cannot be used."""
    return Directory(choose_path(supervisor))


def _choose_base() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    for candidate in (runtime, "/dev/shm"):  # noqa: S108  # in memory; the directory we make there has mode 700
        if candidate and os.access(candidate, os.W_OK | os.X_OK) and Path(candidate).is_dir():
            return Path(candidate)
    return Path(tempfile.gettempdir())


def _read_boot_id() -> str:
    """Return the id of this boot of the machine, "0" if there is none."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip().replace("-", "")
    return "0"


def _read_pid_namespace() -> str:
    """Return the number of this process's namespace of process ids, "0" if there is none."""
    with suppress(OSError):
        return "".join(filter(str.isdecimal, str(Path("/proc/self/ns/pid").readlink())))
    return "0"


def _list_leftovers(base: Path) -> Iterator[Path]:
    """Yield the directories of supervisors that have ended; one in another namespace cannot be looked up."""
    for path in base.glob(f"{_PREFIX}-{os.geteuid()}-*-*-*-*"):
        boot, namespace, pid, start = path.name.split("-")[2:]
        if pid.isdecimal() and start.isdecimal():
            is_same_namespace = (boot, namespace) == (_read_boot_id(), _read_pid_namespace())
            if (is_same_namespace and read_start_time(int(pid)) != int(start)) or boot != _read_boot_id():
                yield path


def _remove(path: Path) -> None:
    directory = Directory(str(path), create=False)
    try:
        names = directory.list_names()
        if not any(_is_held(directory, name) for name in names if name.endswith(".cells")):
            for name in names:
                directory.unlink(name)
            path.rmdir()
    finally:
        directory.close()


def _is_held(directory: Directory, name: str) -> bool:
    file = directory.open(name, os.O_RDONLY)
    try:
        return is_owned(file)
    finally:
        file.close()
