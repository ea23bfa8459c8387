"""Run granian from a program: ``python -m worker_programs.run_granian <workers> <port>``."""

from __future__ import annotations

import sys

import worker_app  # noqa: F401  # the metrics exist before granian forks its workers
from granian import Granian

if __name__ == "__main__":
    Granian(
        "worker_app:app",
        interface="asgi",
        workers=int(sys.argv[1]),
        port=int(sys.argv[2]),
        log_enabled=False,
        respawn_failed_workers=True,
    ).serve()
