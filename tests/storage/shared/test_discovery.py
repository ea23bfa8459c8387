"""The directory that workers share by default: other users can neither take it nor make it slow to find."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from asyncmetrics.storage.lineage import read_start_time
from asyncmetrics.storage.shared import discovery
from asyncmetrics.storage.shared.discovery import build_path, has_directory, open_directory
from asyncmetrics.storage.shared.supervisors import Supervisor
from tests.forks import run_forked

pytestmark = pytest.mark.skipif(not Path("/proc/self/auxv").exists(), reason="procfs")
is_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may make such files")

OTHER_USER = 65534


@pytest.fixture
def base(tmp_path, monkeypatch) -> Path:
    """The directory in which workers make theirs."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def supervisor() -> Supervisor:
    return Supervisor(os.getpid(), read_start_time(os.getpid()))


def find_name(base: Path, supervisor: Supervisor) -> str:
    """Return the name that a supervisor's workers choose first."""
    path = Path(open_directory(supervisor).path)
    path.rmdir()
    return path.name


def take(path: Path) -> None:
    """Make a directory as another user."""
    path.mkdir(mode=0o700)
    os.chown(path, OTHER_USER, OTHER_USER)


def test_all_workers_choose_the_same_directory(supervisor, base):
    assert not has_directory(build_path(supervisor))
    path = open_directory(supervisor).path

    def work() -> None:
        assert has_directory(build_path(supervisor))
        assert open_directory(supervisor).path == path

    run_forked(work)
    assert open_directory(supervisor).path == path
    assert [entry.name for entry in base.iterdir()] == [Path(path).name]


def test_a_spawned_worker_chooses_the_directory_of_its_supervisor(supervisor, base):
    program = f"""
from asyncmetrics.storage.shared.discovery import open_directory
from asyncmetrics.storage.shared.supervisors import Supervisor
print(open_directory(Supervisor({supervisor.pid}, {supervisor.start})).path)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == open_directory(supervisor).path


def test_the_name_ends_in_a_secret_of_the_supervisor(supervisor, base):
    one = find_name(base, supervisor)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        other = find_name(base, Supervisor(process.pid, read_start_time(process.pid)))
        process.communicate(b"\n")
    assert len({name.partition(".")[2] for name in (one, other)}) == 2
    assert all(len(name.partition(".")[2]) == 32 for name in (one, other))


@is_root
def test_a_worker_that_cannot_read_the_image_has_a_secret_from_its_fork(supervisor, base, monkeypatch):
    """As one of ``gunicorn --user``; all of them have the same."""

    def work() -> None:
        os.setuid(OTHER_USER)
        open_directory(supervisor)

    with TemporaryDirectory() as folder:  # pytest's own folders are closed to other users
        Path(folder).chmod(0o777)
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        run_forked(work)
        run_forked(work)
        (path,) = Path(folder).iterdir()
    assert len(path.name.partition(".")[2]) == 32
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(base))
    assert path.name.partition(".")[2] != find_name(base, supervisor).partition(".")[2]


@is_root
@pytest.mark.parametrize("make", [take, Path.touch, lambda path: path.symlink_to("/tmp")])
def test_if_another_process_was_faster_all_workers_make_the_same_second_choice(supervisor, base, make):
    name = find_name(base, supervisor)
    make(base / name)
    path = open_directory(supervisor).path
    assert Path(path).name == f"{name}.1"

    def work() -> None:
        assert open_directory(supervisor).path == path

    run_forked(work)
    (base / name).rename(base / "gone")  # by the other user, to divide the workers
    run_forked(work)


def make_leftovers(base: Path, count: int, use: Callable[[Path], None] = Path.mkdir) -> None:
    machine = f"{os.geteuid()}-{discovery._read_boot_id()}-{discovery._read_pid_namespace()}"
    for number in range(1, count + 1):  # start times: 0 is what a process that cannot be seen has
        use(base / f"asyncmetrics-{machine}-{1 << 22}-{number}.secret")


def test_directories_of_supervisors_that_have_ended_are_removed(supervisor, base):
    make_leftovers(base, 20)
    open_directory(supervisor)
    assert len(list(base.iterdir())) == 1


@pytest.mark.parametrize("use", [Path.mkdir, pytest.param(take, marks=is_root)])
def test_a_start_examines_a_limited_number_of_leftovers(supervisor, base, use, monkeypatch):
    make_leftovers(base, 1000, use)
    examined = []
    monkeypatch.setattr(discovery, "read_start_time", lambda pid: examined.append(pid) or 0)
    open_directory(supervisor)
    assert 0 < len(examined) <= 256
    open_directory(supervisor)
    assert len(examined) <= 256  # the directory is there: nothing is examined


def test_directories_of_other_users_are_not_examined(supervisor, base, monkeypatch):
    for number in range(100):
        (base / f"asyncmetrics-1234-boot-1-{number}-5").mkdir()
    monkeypatch.setattr(discovery, "read_start_time", lambda pid: pytest.fail("examined"))
    open_directory(supervisor)
    assert len(list(base.iterdir())) == 101
