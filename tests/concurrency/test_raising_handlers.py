"""Exceptions of signal handlers reach the program, whatever they interrupt, and the metrics go on exactly."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PROGRAM_SECONDS

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals of Unix")
def test_a_handler_that_raises_all_the_time_loses_nothing():
    """In a process of its own: finalisers of what other tests have left may swallow any exception."""
    command = [sys.executable, "-m", "scripts.raising", "3"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=PROGRAM_SECONDS)
    outcomes = [dict(re.findall(r"(\w+)=([\d.]+)", line)) for line in done.stdout.splitlines()]
    assert len(outcomes) == 2  # with memory storage, and with shared storage
    for outcome in outcomes:
        raised, lost = float(outcome.pop("raised")), float(outcome.pop("lost"))
        assert lost < raised / 2  # Python drops those that interrupt a finaliser: usually none of 1000
        assert {name: float(number) for name, number in outcome.items()} == dict.fromkeys(outcome, 0.0)
