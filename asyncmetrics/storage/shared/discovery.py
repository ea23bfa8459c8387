"""Where the workers of a supervisor share their metrics when nobody has said where.

*Theory of operation.* The directory's name tells whose it is: the user, the boot, the namespace of process ids, and the
supervisor by its id and its start, so that an id that is used again is another one's. Whoever makes one removes those
of supervisors that are gone, unless a worker still holds a slot there.
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
from asyncmetrics.storage.shared.supervisors import Supervisor, is_being_prepared, supervisor

__all__ = ("NoWorkerError", "directory_of", "find_later", "place_for")

_PREFIX = "asyncmetrics"


class NoWorkerError(StorageError):
    """Tell that this process is nobody's worker, and shares its metrics with nobody."""


def place_for(supervisor: Supervisor) -> str:
    """Return the path of the directory of a supervisor's workers, having tidied up beside it."""
    base = _base()
    path = base / f"{_PREFIX}-{os.geteuid()}-{_boot()}-{_namespace()}-{supervisor.pid}-{supervisor.start}"
    if not path.exists():
        for old in list(_leftovers(base)):
            with suppress(OSError):
                _remove(old)
    return str(path)


def find_later() -> Directory | None:
    """Return the directory of this process's supervisor, None while it is not known what the process is for.

    Raises `NoWorkerError` for one that turns out to be nobody's.
    """
    if is_being_prepared():
        return None
    found = supervisor()
    if found is None:
        raise NoWorkerError("", "this process is no worker of a server", errno.ENOENT)
    return directory_of(found)


def directory_of(supervisor: Supervisor) -> Directory:
    """Return the directory of a supervisor's workers. Raises `StorageError` if it cannot be used."""
    return Directory(place_for(supervisor))


def _base() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    for candidate in (runtime, "/dev/shm"):  # noqa: S108  # memory; what is made there is ours alone
        if candidate and os.access(candidate, os.W_OK | os.X_OK) and Path(candidate).is_dir():
            return Path(candidate)
    return Path(tempfile.gettempdir())


def _boot() -> str:
    """Return what tells this boot of the machine from others."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip().replace("-", "")
    return "0"


def _namespace() -> str:
    """Return what tells this namespace of process ids from others."""
    with suppress(OSError):
        return "".join(filter(str.isdecimal, str(Path("/proc/self/ns/pid").readlink())))
    return "0"


def _leftovers(base: Path) -> Iterator[Path]:
    """Yield the directories of supervisors that are gone; those in other namespaces cannot be told."""
    for path in base.glob(f"{_PREFIX}-{os.geteuid()}-*-*-*-*"):
        boot, namespace, pid, start = path.name.split("-")[2:]
        if pid.isdecimal() and start.isdecimal():
            is_ours = (boot, namespace) == (_boot(), _namespace())
            if (is_ours and read_start_time(int(pid)) != int(start)) or boot != _boot():
                yield path


def _remove(path: Path) -> None:
    directory = Directory(str(path), create=False)
    try:
        names = directory.names()
        if not any(_is_held(directory, name) for name in names if name.endswith(".cells")):
            for name in names:
                directory.unlink(name)
            path.rmdir()
    finally:
        directory.close()


def _is_held(directory: Directory, name: str) -> bool:
    descriptor = directory.open(name, os.O_RDONLY)
    try:
        return is_owned(descriptor)
    finally:
        os.close(descriptor)
