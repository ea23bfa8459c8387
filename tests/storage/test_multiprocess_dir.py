"""PROMETHEUS_MULTIPROC_DIR: processes that share in a directory that everybody may write to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.other_users import OTHER_USER, RUN_AS_OTHER, is_root, require_other_user
from tests.patience import PROGRAM_SECONDS

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not Path("/proc/self/auxv").exists(), reason="procfs")

COUNT = """
from asyncmetrics import Counter, REGISTRY
Counter("jobs_total", "Jobs.", ["n"]).labels("x").inc()
print(REGISTRY.get_sample_value("jobs_total", {"n": "x"}), REGISTRY.get_sample_value("asyncmetrics_workers_shared"))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory as an ``emptyDir`` of Kubernetes; pytest's own folders are closed to other users."""
    path = Path(mkdtemp())
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {name: text for name, text in os.environ.items() if name != "ASYNCMETRICS_DIR"}
    return subprocess.run(
        [sys.executable, *arguments],
        env={**settings, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("variable", ["PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"])
def test_processes_share_in_a_directory_of_their_own_in_it(folder, variable):
    for expected in ("1.0 1.0\n", "2.0 1.0\n"):
        done = run("-c", COUNT, **{variable: str(folder)})
        assert (done.stdout, done.stderr) == (expected, "")
    (made,) = folder.iterdir()
    assert (made.name, made.stat().st_mode & 0o777) == (f"asyncmetrics-{os.geteuid()}", 0o700)


@is_root
def test_a_process_of_another_user_shares_in_roots_directory(folder):
    """As in a pod: the directory is root's, with mode 777 and without the sticky bit."""
    require_other_user()
    for expected in ("1.0 1.0\n", "2.0 1.0\n"):
        done = run(*RUN_AS_OTHER, "-c", COUNT, PROMETHEUS_MULTIPROC_DIR=str(folder))
        assert (done.stdout, done.stderr) == (expected, "")
    assert (folder / f"asyncmetrics-{OTHER_USER}").stat().st_uid == OTHER_USER


def test_our_own_variable_wins(folder, tmp_path):
    done = run("-c", COUNT, PROMETHEUS_MULTIPROC_DIR=str(folder), ASYNCMETRICS_DIR=str(tmp_path / "own"))
    assert done.stdout == "1.0 1.0\n"
    assert list(folder.iterdir()) == []
    assert (tmp_path / "own" / "s0.cells").exists()


def test_a_missing_directory_is_made(folder):
    path = folder / "new"
    assert run("-c", COUNT, PROMETHEUS_MULTIPROC_DIR=str(path)).stdout == "1.0 1.0\n"
    assert [entry.name for entry in path.iterdir()] == [f"asyncmetrics-{os.geteuid()}"]


def plant(path: Path, how: str) -> None:
    """Put something into the place of the directory that workers share, as another user."""
    if how == "link":
        path.symlink_to("/tmp")
    elif how == "file":
        path.touch()
    else:
        path.mkdir()
    os.chown(path, OTHER_USER, OTHER_USER, follow_symlinks=False)


@is_root
@pytest.mark.parametrize("how", ["link", "file", "directory"])
def test_another_user_who_takes_the_name_does_not_stop_the_sharing(folder, how):
    plant(folder / "asyncmetrics-0", how)
    for expected in ("1.0 1.0\n", "2.0 1.0\n"):
        assert run("-c", COUNT, PROMETHEUS_MULTIPROC_DIR=str(folder)).stdout == expected
    (folder / "asyncmetrics-0").rename(folder / "gone")  # to divide the workers
    assert run("-c", COUNT, PROMETHEUS_MULTIPROC_DIR=str(folder)).stdout == "3.0 1.0\n"


@is_root
def test_without_a_place_a_process_counts_for_itself_and_says_so(folder):
    for name in ("asyncmetrics-0", *(f"asyncmetrics-0.{number}" for number in range(1, 8))):
        plant(folder / name, "directory")
    done = run("-c", COUNT, PROMETHEUS_MULTIPROC_DIR=str(folder))
    assert done.stdout == "1.0 0.0\n"
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{folder}/asyncmetrics-0: this process keeps its metrics for itself: it belongs to user")
    assert "Remove it, or let PROMETHEUS_MULTIPROC_DIR name another directory" in line


CHILDREN = """
import multiprocessing, sys
from asyncmetrics import Counter, REGISTRY
labelled, plain = Counter("jobs_total", "Jobs.", ["n"]), Counter("plain_total", "Jobs.")

def work(number):
    labelled.labels("x").inc(); plain.inc()
    Counter("late_total", "Declared in children only.", exist_ok=True).inc()

if __name__ == "__main__":
    start = multiprocessing.get_context(sys.argv[1])
    plain.inc()
    children = [start.Process(target=work, args=(number,)) for number in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    with start.Pool(2) as pool:
        pool.map(work, range(4))
    wanted = ("jobs_total", {"n": "x"}), ("plain_total",), ("late_total",)
    print(*(REGISTRY.get_sample_value(*one) for one in wanted))
"""


@pytest.mark.slow
@pytest.mark.parametrize("is_set", [False, True])
@pytest.mark.parametrize("way", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_count(folder, tmp_path, way, is_set):
    """Without the variable too; also in a metric that only they declare, after they have ended."""
    script = tmp_path / "script.py"
    script.write_text(CHILDREN)
    done = run(str(script), way, **({"PROMETHEUS_MULTIPROC_DIR": str(folder)} if is_set else {}))
    assert (done.stdout, done.stderr) == ("6.0 7.0 6.0\n", "")


LONE_CHILD = """
import multiprocessing, sys
from asyncmetrics import REGISTRY

def work():
    from asyncmetrics import Counter
    Counter("late_total", "Late.").inc()

if __name__ == "__main__":
    child = multiprocessing.get_context(sys.argv[1]).Process(target=work)
    child.start()
    child.join()
    print(REGISTRY.get_sample_value("late_total"))
"""


@pytest.mark.parametrize("way", ["fork", "spawn", "forkserver"])
def test_a_program_without_a_metric_exposes_what_its_children_have_counted(tmp_path, way):
    script = tmp_path / "script.py"
    script.write_text(LONE_CHILD)
    done = run(str(script), way)
    assert (done.stdout, done.stderr) == ("1.0\n", "")


def test_a_program_without_a_metric_exposes_what_others_have_counted(folder):
    variable = {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    run("-c", COUNT, **variable)
    program = "from asyncmetrics import generate_latest; print(generate_latest().decode())"
    assert 'jobs_total{n="x"} 1.0' in run("-c", program, **variable).stdout.splitlines()


EMPTIED = """
import shutil, sys, threading, time
from asyncmetrics import Counter, REGISTRY
counter, counted = Counter("jobs_total", "Jobs.").inc, 0
deadline = time.monotonic() + 1
while time.monotonic() < deadline:
    counter()
    counted += 1
    REGISTRY.get_sample_value("jobs_total")
    shutil.rmtree(sys.argv[1], ignore_errors=True)
print(counted, REGISTRY.get_sample_value("jobs_total"), REGISTRY.get_sample_value("asyncmetrics_workers_shared"))
"""


def test_no_moment_of_a_removal_ends_the_sharing(folder):
    """Two processes remove the directory again and again while they make their files in it."""
    path = str(folder / f"asyncmetrics-{os.geteuid()}")
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    command = [sys.executable, "-c", EMPTIED, path]
    with ExitStack() as stack:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        processes = [stack.enter_context(subprocess.Popen(command, env=settings, **pipes)) for _ in range(2)]
        for process in processes:
            counted, value, is_shared = process.communicate(timeout=PROGRAM_SECONDS)[0].split()
            assert (float(value) >= int(counted), is_shared) == (True, "1.0")
    assert [entry.name for entry in folder.iterdir()] in ([], [Path(path).name])
