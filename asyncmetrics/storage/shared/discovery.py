"""The directory that workers share: that of their supervisor, or one in prometheus_client's directory.

If ``ASYNCMETRICS_DIR`` is set, nothing here is used.

*Rules.* Use a directory only if `Directory` trusts it. A directory of another user must neither stop the sharing nor
slow it down, whatever its name is.

*Theory of operation.* Each supervisor has its own directory:

1. Before its first worker starts, there is none. The name follows from the supervisor alone, so all its workers choose
   the same: ``asyncmetrics-<user>-<boot>-<namespace>-<pid>-<start>.<secret>``. The start time distinguishes a
   supervisor from a later process with the same id; boot and namespace of process ids say where the id is valid. The
   *secret* keeps other users from creating the directory first. It is a hash of the supervisor's image, which only its
   user can read, or else of the hash secret of the interpreter, which a forked worker has from its supervisor.
2. The first worker finds no directory of this name. It removes directories of supervisors that have ended, unless
   a worker still owns a slot there, and makes its own. If another user has been faster, which takes luck or a worker
   without a secret, it tries the same name with ``.1`` to ``.7`` at its end.
3. A later worker takes the first trusted directory of this supervisor, whatever its secret and number are.
4. The supervisor and its workers have ended: the directory stays, with the last counts, until the first worker of a
   later supervisor removes it in step 2.

If ``PROMETHEUS_MULTIPROC_DIR`` is set, all processes of one user share ``asyncmetrics-<user>`` in it, also those that
have different parents. Other users may write to the directory around it, as to an ``emptyDir`` of Kubernetes (root's,
mode 777). They cannot write to a directory of mode 700 in it, and the numbers ``.1`` to ``.7`` are for the case that
one of them has taken the name. Nothing here is removed: prometheus_client, too, leaves that to the program that starts
the server.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISDIR

from asyncmetrics.errors import StorageError
from asyncmetrics.interruptions import ignoring, pass_interruption
from asyncmetrics.storage.lineage import is_own_fork, read_image, read_start_time
from asyncmetrics.storage.shared.files.directory import Directory
from asyncmetrics.storage.shared.files.slots import is_owned, name_cells_file
from asyncmetrics.storage.shared.supervisors import Supervisor

__all__ = (
    "NoWorkerError",
    "build_path",
    "choose_base",
    "find_foreign_directories",
    "find_multiprocess_directory",
    "has_directory",
    "open_directory",
    "open_multiprocess_directory",
)

_PREFIX = "asyncmetrics"
_CHOICES = 8  # names of directories that a worker tries to make
_ATTEMPTS = 10  # to open a directory that was just made
_EXAMINED = 256  # directories that a start examines, to remove leftovers: 0.1 ms each
_TAKEN = frozenset({errno.EPERM, errno.EACCES, errno.ENOTDIR, errno.ELOOP, errno.EEXIST, errno.ENOENT})


class NoWorkerError(StorageError):
    """This process is no worker of a server, so it shares its metrics with no other process."""


def open_directory(supervisor: Supervisor) -> Directory:
    """Return the directory of a supervisor's workers. Raises `StorageError` if none can be used.

    If it is new, remove old ones beside it.
    """
    path = Path(build_path(supervisor))
    base, name = path.parent, path.name
    with ignoring(StorageError):
        return Directory(str(path), create=False)
    names = _list_names(base)
    present = _find_trusted(base, names, _build_stem(supervisor))
    if present is not None:
        return present
    for old in _list_leftovers(base, names[:_EXAMINED]):
        with ignoring(OSError):
            _remove(old)
    return _make_directory(base, name)


def open_multiprocess_directory(path: str) -> Directory:
    """Return the directory that this user's processes share in ``path``; make both if they are not there.

    Raises `StorageError` if none can be used.
    """
    # prometheus_client fails at the first metric if ``path`` is missing. Without it, a process that only reads would
    # not find the workers that share by another way.
    present = find_multiprocess_directory(path)
    if present is not None:
        return present
    base, name = Path(path), _build_user_name()
    with ignoring(StorageError):
        return _make_directory(base, name)
    remedy = "Remove it, or let PROMETHEUS_MULTIPROC_DIR name another directory"
    return Directory(str(base / name), remedy=remedy)  # for the error about the first name


def find_multiprocess_directory(path: str, *, itself: bool = False) -> Directory | None:
    """Return the directory that this user's processes share in ``path``, None if there is none that can be used.

    If ``itself``, this may be ``path``, as for ``ASYNCMETRICS_DIR``.
    """
    base, name = Path(path), _build_user_name()
    present = _find_trusted(base, [name, *_list_names(base, name)], name)
    if present is None and itself and (base / name_cells_file(0)).exists():
        with ignoring(StorageError):
            return Directory(path, create=False)
    return present


def find_foreign_directories(path: str) -> list[str]:
    """Return the names of the directories that processes of other users share in ``path``."""
    names = _list_names(Path(path), f"{_PREFIX}-")
    return sorted(name for name in names if name.removeprefix(f"{_PREFIX}-").partition(".")[0].isdecimal())


def build_path(supervisor: Supervisor) -> str:
    """Return the path of the directory that a supervisor's workers make first."""
    stem, secret = _build_stem(supervisor), _build_secret(supervisor)
    return str(choose_base() / (f"{stem}.{secret}" if secret else stem))


def has_directory(path: str) -> bool:
    """Return whether a worker has made the directory at ``path``."""
    try:
        Directory(path, create=False).close()
    except StorageError as error:
        pass_interruption(error)
        return False
    return True


def _find_trusted(base: Path, names: list[str], stem: str) -> Directory | None:
    """Return the first directory called ``stem``, whatever follows it after a point, that can be used."""
    for found in sorted(found for found in {*names} if found == stem or found.startswith(f"{stem}.")):
        with ignoring(StorageError):
            return Directory(str(base / found), create=False)
    return None


def _make_directory(base: Path, name: str) -> Directory:
    for number in range(_CHOICES - 1):
        try:
            return _make(str(base / (f"{name}.{number}" if number else name)))
        except StorageError as error:
            pass_interruption(error)
            if error.errno not in _TAKEN:
                raise
    return Directory(str(base / f"{name}.{_CHOICES - 1}"))


def _make(path: str) -> Directory:
    """Make and open a directory, again if another program removes it in between: workers must agree on one name."""
    for _ in range(_ATTEMPTS):
        try:
            return Directory(path)
        except StorageError as error:
            pass_interruption(error)
            if error.errno != errno.ENOENT:
                raise
    return Directory(path)


def _build_stem(supervisor: Supervisor) -> str:
    return f"{_build_prefix()}{_read_boot_id()}-{_read_pid_namespace()}-{supervisor.pid}-{supervisor.start}"


def _build_prefix() -> str:
    """Return how the names of all directories of this user's supervisors begin."""
    return f"{_build_user_name()}-"


def _build_user_name() -> str:
    return f"{_PREFIX}-{os.geteuid()}"


def _build_secret(supervisor: Supervisor) -> str:
    """Return the secret in the name, an empty text if there is none that all workers know."""
    image = read_image(supervisor.pid)
    if not image and sys.flags.hash_randomization and is_own_fork(supervisor.pid):
        image = str(hash(_PREFIX)).encode()
    return hashlib.sha256(image).hexdigest()[:32] if image else ""


def choose_base() -> Path:
    """Return the directory in which this user's directories are made: in memory, if there is one."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    for candidate in (runtime, "/dev/shm"):  # noqa: S108  # in memory; the directory we make there has mode 700
        with ignoring(OSError):  # `Path.is_dir` may swallow what a signal handler raises
            if candidate and os.access(candidate, os.W_OK | os.X_OK) and S_ISDIR(os.stat(candidate).st_mode):  # noqa: PTH116
                return Path(candidate)
    return Path(tempfile.gettempdir())


def _read_boot_id() -> str:
    """Return the id of this boot of the machine, "0" if there is none."""
    with ignoring(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip().replace("-", "")
    return "0"


def _read_pid_namespace() -> str:
    """Return the number of this process's namespace of process ids, "0" if there is none."""
    with ignoring(OSError):
        return "".join(filter(str.isdecimal, str(Path("/proc/self/ns/pid").readlink())))
    return "0"


def _list_names(base: Path, prefix: str = "") -> list[str]:
    """Return the names that begin with ``prefix``, by default those of this user's supervisors."""
    prefix = prefix or _build_prefix()
    with ignoring(OSError):
        return [name for name in os.listdir(base) if name.startswith(prefix)]  # noqa: PTH208  # a third of the time
    return []


def _list_leftovers(base: Path, names: list[str]) -> Iterator[Path]:
    """Yield the directories of supervisors that have ended; one in another namespace cannot be looked up."""
    here = (_read_boot_id(), _read_pid_namespace())
    for name in names:
        boot, namespace, pid, start = [*name.partition(".")[0].split("-")[2:], "", "", "", ""][:4]
        if pid.isdecimal() and start.isdecimal():
            is_dead = (boot, namespace) == here and read_start_time(int(pid)) != int(start)
            if is_dead or boot != here[0]:
                yield base / name


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
