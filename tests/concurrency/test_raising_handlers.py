"""Exceptions of signal handlers reach the program, whatever they interrupt, and the metrics go on exactly."""

from __future__ import annotations

import signal
from functools import partial

import pytest

from asyncmetrics.storage import MemoryStorage, SharedStorage
from scripts.raising import Outcome, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals of Unix"),
]


@pytest.mark.parametrize("kind", ["memory", "shared"])
def test_a_handler_that_raises_all_the_time_loses_nothing(kind, tmp_path):
    make = MemoryStorage if kind == "memory" else partial(SharedStorage, str(tmp_path / "metrics"))
    outcome = run(make, seconds=3)
    assert outcome.lost < outcome.raised / 2  # Python drops those that interrupt a finaliser: usually none of 100
    assert outcome._replace(raised=0, lost=0) == Outcome(0, 0, 0, 0, 0, 0, 0)
