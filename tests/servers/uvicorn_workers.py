"""Workers of uvicorn with a connection to each of them, so that a test chooses the worker that answers."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.patience import PATIENCE_SECONDS, wait_until
from tests.servers.processes import find_free_port, run_server
from tests.servers.worker_servers import HERE, Workers

__all__ = ("Worker", "connect_to_each", "run_uvicorn_workers")

ATTEMPTS = 12  # connections that are made at a time: one worker rarely accepts all of them


@contextmanager
def run_uvicorn_workers(application: str, workers: int, place: Path, *options: str) -> Iterator[Workers]:
    """Run a module of this folder, whose ``app`` answers ``/items/0`` with the id of its process."""
    server = Workers("uvicorn", find_free_port(), place)
    command = f"uvicorn {application}:app --workers {workers} --port {server.port} --log-level critical --no-access-log"
    command += f" --timeout-keep-alive {PATIENCE_SECONDS} --timeout-worker-healthcheck {PATIENCE_SECONDS}"
    settings = {"XDG_RUNTIME_DIR": str(place)}
    with run_server([*command.split(), *options], HERE, server.is_up, **settings) as server.process:
        yield server


class Worker(Workers):
    """One worker, by a connection that it has accepted; it reads and writes as `Workers` do."""

    def __init__(self, server: Workers) -> None:
        super().__init__(server.name, server.port, server.place)
        self.process = server.process
        self.pid = 0
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)

    def begin(self, path: str) -> None:
        """Send a request, and do not wait for the response."""
        self.connection.request("GET", path)

    def finish(self) -> tuple[int, str]:
        """Wait for the response of `begin`."""
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode()

    def get(self, path: str) -> tuple[int, str]:
        """Send a request to this worker."""
        self.begin(path)
        return self.finish()


@contextmanager
def connect_to_each(server: Workers, number: int) -> Iterator[list[Worker]]:
    """Connect until ``number`` workers have accepted a connection, and yield them in the order of their ids."""
    found: dict[int, Worker] = {}
    with ExitStack() as stack:

        def connect() -> int:
            made = [Worker(server) for _ in range(ATTEMPTS)]
            for worker in made:
                stack.callback(worker.connection.close)
                worker.begin("/items/0")
            for worker in made:
                worker.pid = int(worker.finish()[1])
                if found.setdefault(worker.pid, worker) is not worker:
                    worker.connection.close()
            return len(found)

        wait_until(connect, lambda count: count == number)
        yield [found[pid] for pid in sorted(found)]
