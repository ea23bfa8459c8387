"""Doing something in a forked process."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from tests.patience import PATIENCE_SECONDS

__all__ = ("run_forked",)


def run_forked(work: Callable[[], object]) -> None:
    """Call ``work`` in a forked process, which then ends at once; fail if it fails."""
    pid = os.fork()
    if not pid:
        signal.alarm(PATIENCE_SECONDS)  # the kernel ends a process that hangs
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
