"""Running Python as another user, which only root may do."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

import pytest

__all__ = ("OTHER_USER", "RUN_AS_OTHER", "is_root", "require_other_user")

OTHER_USER = 65534
RUN_AS_OTHER = ("-m", "tests.servers.worker_programs.run_as", str(OTHER_USER))
"""What to write before the arguments of the interpreter."""
is_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may do that")


def require_other_user() -> None:
    """Skip the test unless another user may run an interpreter with the packages of the tests."""
    if not _can_run():
        pytest.skip("no interpreter that another user may run")


@cache
def _can_run() -> bool:
    command = [sys.executable, *RUN_AS_OTHER, "-c", "import anyio, asyncmetrics, starlette, uvicorn"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0
