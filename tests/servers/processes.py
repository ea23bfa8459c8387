"""Servers that run in processes of their own, on free ports."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.patience import wait_until

__all__ = ("ROOT", "find_free_port", "is_listening", "run_server")

ROOT = Path(__file__).parents[2]
END_SECONDS = 10  # after which a server that was asked to end is killed


def find_free_port() -> int:
    """Return a port that no process listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def is_listening(port: int) -> bool:
    """Return whether a server accepts connections on the port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


@contextmanager
def run_server(
    command: list[str], folder: Path, is_up: Callable[[], bool], **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``python -m command`` in ``folder`` until the block ends, and enter the block once ``is_up()`` is true.

    The server imports modules from ``folder`` and from the project. At the end it is asked to stop; what remains of
    its process group is killed.
    """
    settings = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), **environment}
    process = subprocess.Popen([sys.executable, "-m", *command], env=settings, cwd=folder, start_new_session=True)

    def check() -> bool:
        assert process.poll() is None, f"{command} ended with {process.returncode}"
        return is_up()

    try:
        wait_until(check)
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
