"""Counting in signal handlers, finalisers, gc callbacks, forks, threads and at the end never hangs and never raises.

The programs are those of ``python -m scripts.reentrancy``, which prints what becomes of them with prometheus_client.
Each runs in a process of its own, with a watchdog that gives it ten minutes: only a program that hangs takes longer.
"""

from __future__ import annotations

import os
from textwrap import dedent

import pytest

from scripts.reentrancy import FINE, PROGRAMS, run_program

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="signals and forks of Unix")


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_all_is_well_when(name):
    assert run_program(PROGRAMS[name], "asyncmetrics") == FINE


# Where there is no GIL, children lock; here they are told to.
LOCKING = """
from asyncmetrics.storage import MemoryStorage
registry = library.CollectorRegistry(storage=MemoryStorage(locking=True))
counter = library.Counter("c", "C.", ["n"], registry=registry)
gauge = library.Gauge("g", "G.", ["n"], registry=registry)
histogram = library.Histogram("h", "H.", buckets=[1, 2], registry=registry)
same = counter.labels("same")
"""
# Where workers share. Each metric that the collector's callback declares is work for the collector: that never ends.
SHARED = """
from asyncmetrics.storage import SharedStorage
registry = library.CollectorRegistry(storage=SharedStorage({folder!r}))
counter = library.Counter("c", "C.", ["n"], registry=registry)
gauge = library.Gauge("g", "G.", ["n"], registry=registry)
histogram = library.Histogram("h", "H.", buckets=[1, 2], registry=registry)
same = counter.labels("same")
"""
ENDING = [name for name in PROGRAMS if name != "a callback of the garbage collector declares metrics"]
SHORT = [name for name in PROGRAMS if "200,000" not in name]


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_all_is_well_with_children_that_lock_when(name):
    assert run_program(LOCKING + dedent(PROGRAMS[name]), "asyncmetrics") == FINE


@pytest.mark.slow
@pytest.mark.parametrize("name", ENDING)
def test_all_is_well_where_workers_share_when(name, tmp_path):
    assert run_program(SHARED.format(folder=str(tmp_path / "metrics")) + dedent(PROGRAMS[name]), "asyncmetrics") == FINE


def test_the_watchdog_sees_a_program_that_hangs():
    deadlock = "lock = threading.Lock(); lock.acquire(); lock.acquire()"
    assert run_program(deadlock, "asyncmetrics", seconds=1) == "hangs"


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("raise ValueError('wrong')", "ends with 1: ValueError: wrong"),
        ("os._exit(3)", "ends with 3: no message"),
        ("sys.stderr.write('odd')", "ends with 0: odd"),
        ("problems.append('one lost')", "one lost"),
        ("increments(); creates(); collects()", FINE),
    ],
)
def test_the_watchdog_sees_a_program_that_fails(program, expected):
    assert run_program(program, "asyncmetrics") == expected
