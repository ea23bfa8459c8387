"""Applications under a real uvicorn: in a thread of the test, or in a process of their own."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from tests.patience import PATIENCE_SECONDS, wait_until
from tests.servers.processes import ROOT

__all__ = ("serving", "serving_alone")

# uvicorn closes a connection that is silent for 5 s, or answers no ping for 20 s: a client without a processor is.
# The loop is named, since uvicorn's own choice is uvloop wherever that is installed.
SETTINGS = {"timeout_keep_alive": PATIENCE_SECONDS, "ws_ping_timeout": PATIENCE_SECONDS, "loop": "asyncio"}


@contextmanager
def serving(app: object, **options: object) -> Iterator[str]:
    """Serve ``app`` from a thread, on a port that the system chooses, and yield its base URL.

    The loop is asyncio's; ``loop="uvloop"`` is the other one.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    settings = {"log_level": "error", "timeout_graceful_shutdown": 2, **SETTINGS, **options}
    server = uvicorn.Server(uvicorn.Config(app, **settings))
    thread = threading.Thread(target=server.run, args=([listener],), name="uvicorn")
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive())
        assert thread.is_alive(), "uvicorn did not start"
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@contextmanager
def serving_alone(program: str) -> Iterator[str]:
    """Run a program that calls ``serve(app)`` in a process of its own, and yield its base URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # h11 passes unknown methods on to the application; httptools refuses them
        options = {"fd": listener.fileno(), "http": "h11", "log_level": "error", **SETTINGS}
        code = f"import uvicorn\nrun = uvicorn.run\ndef serve(app, **_): run(app, **{options})\n{program}"
        process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, pass_fds=[listener.fileno()])
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"  # connections wait in the queue until it accepts
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)
