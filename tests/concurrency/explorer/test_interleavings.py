"""No interleaving of two operations on metrics or registries breaks a promise: a sample of them, or all.

``ASYNCMETRICS_EXPLORE=all`` explores all, in a quarter of an hour. A failure names the pair, which
``python -m tests.concurrency.explorer`` explores alone.
"""

from __future__ import annotations

import os

import pytest

from tests.concurrency.explorer.cases import list_cases
from tests.concurrency.explorer.exploration import explore
from tests.concurrency.explorer.worlds import STORAGES

pytestmark = [
    pytest.mark.blocking,  # it watches nothing but loops, and slows down each interleaving
    pytest.mark.skipif(not hasattr(os, "fork"), reason="forks and shared files of Unix"),
]
SAMPLE = {"memory": 71, "locked": 83, "shared": 199}


def is_limit(line):
    """Return whether a line is about one of the documented limits of shared storage (its package names them).

    A signal handler that interrupts structural work of its own thread makes a series, or sees one that is being made:
    scrapes have it, with its number, once that work is done. A gauge is hidden until its function has returned one.
    """
    storage, _, a, _, mode, kind, *_ = line.split(" | ")
    is_of_shared = storage.split()[-1] == "shared" and kind in {"missing in a reading", "wrong number in a reading"}
    return is_of_shared and (mode == "handler" or a == "set_function")


def find_violations(storage, sample):
    report = explore(list_cases([storage]), sample=sample)
    assert report.interleavings > 200_000 / sample / 2
    return [line for line in report.list_lines() if not is_limit(line)]


@pytest.mark.parametrize("storage", STORAGES)
def test_a_sample_of_interleavings_keeps_all_promises(storage):
    assert find_violations(storage, SAMPLE[storage]) == []


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("ASYNCMETRICS_EXPLORE"), reason="a quarter of an hour: set ASYNCMETRICS_EXPLORE=all"
)
@pytest.mark.parametrize("storage", STORAGES)
def test_all_interleavings_keep_all_promises(storage):
    assert find_violations(storage, 1) == []
