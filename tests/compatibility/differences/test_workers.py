"""What several processes do differently on purpose, as docs/migrating.md lists it: each row on both libraries."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from tests.compatibility.libraries import both
from tests.patience import PROGRAM_SECONDS

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="only POSIX has workers that share")

FORKING = """
import multiprocessing
from {package} import Counter, generate_latest

counter = Counter("m", "M.")

if __name__ == "__main__":
    process = multiprocessing.get_context("fork").Process(target=counter.inc)
    process.start()
    process.join()
    print(b"m_total 1.0" in generate_latest())
"""
SHARING = """
from {package} import CollectorRegistry, Gauge
from {package}.multiprocess import MultiProcessCollector

Gauge("m", "M.").set(3)
registry = CollectorRegistry()
MultiProcessCollector(registry)
families = {{family.name: family for family in registry.collect()}}
print(*families["m"].samples[0].labels)
"""


def run(program, package, directory=None):
    """Return what a program prints, in a process that has this ``PROMETHEUS_MULTIPROC_DIR`` or none."""
    named = {} if directory is None else {"PROMETHEUS_MULTIPROC_DIR": str(directory)}
    others = {name: text for name, text in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", program.format(package=package)],
        env={**others, **named, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.difference("workers-without-setup")
def test_what_a_forked_process_counts():
    assert both(lambda library: run(FORKING, library.__name__)) == ("False", "True")


@pytest.mark.difference("multiprocess-files")
def test_the_files_in_the_directory(tmp_path):
    def share(library):
        directory = tmp_path / library.__name__
        directory.mkdir()
        for _ in range(3):
            run(SHARING, library.__name__, directory)
        return sorted(path.name for path in directory.iterdir())

    theirs, ours = both(share)
    assert len(theirs) == 3
    assert all(name.startswith("gauge_all_") for name in theirs)
    assert ours == [f"asyncmetrics-{os.geteuid()}"]


@pytest.mark.difference("worker-label")
def test_the_label_of_a_gauge_of_each_worker(tmp_path):
    assert both(lambda library: run(SHARING, library.__name__, tmp_path)) == ("pid", "worker")


@pytest.mark.difference("removal-in-workers")
def test_a_removal_while_the_multiprocess_mode_is_on(monkeypatch, tmp_path):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))

    def remove(library):
        counter = library.Counter("m", "M.", ["x"], registry=None)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            counter.labels("1")
            counter.remove("1")
            counter.clear()
        return len(caught)

    assert both(remove) == (2, 0)
