"""No interleaving of two operations on metrics or registries breaks a promise: a sample of them, or all.

``ASYNCMETRICS_EXPLORE=all`` explores all, in an hour. A failure names the pair, which
``python -m tests.concurrency.explorer`` explores alone.
"""

from __future__ import annotations

import os
import sys

import pytest

from tests.concurrency.explorer.cases import list_cases
from tests.concurrency.explorer.exploration import explore
from tests.concurrency.explorer.worlds import STORAGES
from tests.thoroughness import IS_THOROUGH

pytestmark = [
    pytest.mark.slow,
    pytest.mark.blocking,  # it watches nothing but loops, and slows down each interleaving
    pytest.mark.skipif(not hasattr(os, "fork"), reason="forks and shared files of Unix"),
]
SAMPLE = {"memory": 71, "locked": 83, "shared": 199} if IS_THOROUGH else {"memory": 211, "locked": 251, "shared": 599}


def find_violations(storage, sample):
    report = explore(list_cases([storage]), sample=sample)
    assert report.interleavings > 200_000 / sample / 2
    return list(report.list_lines())


@pytest.mark.parametrize("storage", STORAGES)
def test_a_sample_of_interleavings_keeps_all_promises(storage):
    assert find_violations(storage, SAMPLE[storage]) == []


@pytest.mark.skipif(not os.environ.get("ASYNCMETRICS_EXPLORE"), reason="an hour: set ASYNCMETRICS_EXPLORE=all")
@pytest.mark.parametrize("storage", STORAGES)
def test_all_interleavings_keep_all_promises(storage):
    assert find_violations(storage, 1) == []


@pytest.mark.skipif(sys.version_info[:2] == (3, 12), reason="3.12.1 crashes if two threads trace at a time")
def test_a_reading_leaves_a_child_alone_that_is_being_inserted():
    """The reading is stopped before it copies a slice, and the insertion before the child is in the table."""
    cases = [case for case in list_cases(["memory"]) if (case.setting.name, case.a, case.b) == ("new", "read", "use")]
    report = explore([case._replace(modes=("crossed",)) for case in cases])
    assert report.interleavings > 4000
    assert list(report.list_lines()) == []
