"""The program that a process descends from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from asyncmetrics.storage.lineage import find_root, is_forked, read_image
from tests.forks import run_forked
from tests.patience import PROGRAM_SECONDS

pytestmark = pytest.mark.skipif(not Path("/proc/self/auxv").exists(), reason="procfs")

ROOT = """
import multiprocessing, os, sys
sys.modules.pop("asyncmetrics", None)

def show(levels):
    from asyncmetrics.storage.lineage import find_root, is_forked
    print(find_root(os.getpid()), find_root(os.getppid()), is_forked(), flush=True)
    if levels:
        process = multiprocessing.get_context(sys.argv[1]).Process(target=show, args=(levels - 1,))
        process.start()
        process.join()
    else:
        pid = os.fork()
        if not pid:
            print(find_root(os.getpid()), find_root(os.getppid()), is_forked(), flush=True)
            os._exit(0)
        os.waitpid(pid, 0)

if __name__ == "__main__":
    print(os.getpid(), os.getpid(), False, flush=True)
    process = multiprocessing.get_context(sys.argv[1]).Process(target=show, args=(2,))
    process.start()
    process.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_and_grandchildren_of_a_program_have_it_as_their_root(tmp_path, method):
    path = tmp_path / "program.py"
    path.write_text(ROOT)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(path), method]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    assert (done.stderr, len(lines)) == ("", 5)
    assert {number for first, second, _ in lines for number in (first, second)} == {lines[0][0]}
    assert lines[-1][2] == "True"


def test_a_program_that_another_one_starts_is_its_own_root():
    program = """
import os
from asyncmetrics.storage.lineage import find_root, is_forked
print(find_root(os.getpid()) == os.getpid(), is_forked())
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_a_forked_process_has_its_parents_image():
    parent, image = os.getpid(), read_image(os.getpid())

    def work() -> None:
        assert is_forked()
        assert image == read_image(os.getpid()) == read_image(parent)
        assert find_root(os.getpid()) == find_root(parent)

    run_forked(work)
