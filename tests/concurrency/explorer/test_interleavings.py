"""No interleaving of two operations on metrics or registries breaks a promise: a sample, a larger one, or all.

``ASYNCMETRICS_EXPLORE=all`` makes the larger sample complete: a quarter of an hour. A failure names the pair, which
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
FEW = {"memory": 71, "locked": 83, "shared": 199}
MANY = {"memory": 11, "locked": 13, "shared": 37}


def find_violations(storage, sample):
    report = explore(list_cases([storage]), sample=sample)
    assert report.interleavings > 200_000 / sample / 2
    return list(report.list_lines())


@pytest.mark.parametrize("storage", STORAGES)
def test_a_sample_of_interleavings_keeps_all_promises(storage):
    assert find_violations(storage, FEW[storage]) == []


@pytest.mark.slow
@pytest.mark.parametrize("storage", STORAGES)
def test_many_interleavings_keep_all_promises(storage):
    everything = os.environ.get("ASYNCMETRICS_EXPLORE") == "all"
    assert find_violations(storage, 1 if everything else MANY[storage]) == []
