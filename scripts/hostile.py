"""Measure `start_http_server` under hostile and careless clients: ``python -m scripts.hostile [clients]``.

1. Every attack opens connections, makes each use as much of the server as it can, and keeps them open.
2. A scraper then asks for the metrics until it gets a whole exposition.
3. The table says whether the server still runs, how often the scraper was refused, and how many seconds it needed.

tests/faults/test_hostile_clients.py runs the same attacks with fewer clients.
"""

from __future__ import annotations

import argparse
import http.client
import resource
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeAlias, final

from asyncmetrics import CollectorRegistry, Counter
from asyncmetrics.exposition import RunningServer, start_http_server

__all__ = ("ATTACKS", "SERIES", "Crowd", "run_attack", "run_server", "scrape")

GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
TOKEN = "the scraper's"  # noqa: S105  # only for the servers of this module
SERIES = 40_000  # 6 MB of text, more than the system's buffers hold
_RESET = struct.pack("ii", 1, 0)
_DRIP_SECONDS = 1.0
_PATIENCE_SECONDS = 120.0


@final
class Crowd:
    """The connections of one attack. ``drip``, if it is set, is called for each of them once a second."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.clients: list[socket.socket] = []
        self.drip: Callable[[socket.socket], object] | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._drip_for_all)

    def connect(self, *, receive_buffer: int = 0) -> socket.socket:
        """Open another connection and return its socket, which does not block."""
        client = socket.socket()
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(_PATIENCE_SECONDS)
        client.connect(("127.0.0.1", self.port))
        client.setblocking(False)
        self.clients.append(client)
        return client

    def start(self) -> None:
        """Start the thread that calls ``drip``."""
        self._thread.start()

    def end(self) -> None:
        """End the thread and close every connection."""
        self._ended.set()
        self._thread.join()
        for client in self.clients:
            client.close()

    def _drip_for_all(self) -> None:
        while self.drip is not None and not self._ended.wait(_DRIP_SECONDS):
            for client in self.clients:
                with suppress(OSError):
                    self.drip(client)


def _stay_idle(crowd: Crowd) -> None:
    crowd.connect()


def _send_refused_method(crowd: Crowd) -> None:
    crowd.connect().send(GET.replace(b"GET", b"POST"))


def _send_no_credentials(crowd: Crowd) -> None:
    crowd.connect().send(GET)


def _stay_idle_after_response(crowd: Crowd) -> None:
    crowd.connect().send(_add_credentials(GET.replace(b"GET", b"HEAD")))


def _send_slowly(crowd: Crowd) -> None:
    crowd.connect().send(b"G")
    crowd.drip = lambda client: client.send(b"G")


def _read_slowly(crowd: Crowd) -> None:
    crowd.connect(receive_buffer=4096).send(_add_credentials(GET))
    crowd.drip = lambda client: client.recv(1)


def _read_nothing(crowd: Crowd) -> None:
    crowd.connect(receive_buffer=4096).send(_add_credentials(GET))


def _pipeline(crowd: Crowd) -> None:
    crowd.connect(receive_buffer=4096).send(_add_credentials(GET) * 100)


def _pipeline_without_credentials(crowd: Crowd) -> None:
    crowd.connect(receive_buffer=4096).send(GET * 1000)


def _reset(crowd: Crowd) -> None:
    client = crowd.connect()
    client.send(_add_credentials(GET))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    client.close()


def _add_credentials(request: bytes) -> bytes:
    return request.replace(b"Host: x", b"Host: x\r\nAuthorization: Bearer " + TOKEN.encode())


Attack: TypeAlias = Callable[[Crowd], None]
"""Connect one client and start its behaviour."""

ATTACKS: dict[str, Attack] = {
    "connects and is silent": _stay_idle,
    "sends a POST and is silent": _send_refused_method,
    "sends no credentials and is silent": _send_no_credentials,
    "is served once and then silent": _stay_idle_after_response,
    "sends a byte a second": _send_slowly,
    "reads a byte a second": _read_slowly,
    "reads nothing": _read_nothing,
    "pipelines and reads nothing": _pipeline,
    "pipelines without credentials": _pipeline_without_credentials,
    "resets its connection": _reset,
}


@contextmanager
def run_server(series: int = SERIES, **options: float) -> Iterator[RunningServer]:
    """Serve a number of series on a free port, for clients that send the token."""
    registry = CollectorRegistry()
    jobs = Counter("jobs", "Jobs.", ["kind"], registry=registry, max_children=None)
    for number in range(series):
        jobs.labels(f"{number:0128}").inc()
    with start_http_server(0, registry=registry, auth=TOKEN, **options) as server:  # type: ignore[arg-type]
        yield server


@contextmanager
def run_attack(server: RunningServer, attack: Attack, clients: int) -> Iterator[Crowd]:
    """Run ``attack`` with a number of clients, all of which are connected before the block begins."""
    crowd = Crowd(server.port)
    try:
        for _ in range(clients):
            with suppress(OSError):  # the server has already closed this client
                attack(crowd)
        crowd.start()
        yield crowd
    finally:
        crowd.end()


def scrape(port: int) -> tuple[int, int]:
    """Scrape once and return the status and the number of series. Raises `OSError` if there is no response."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
    try:
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        response = connection.getresponse()
        return response.status, response.read().count(b"\njobs_total{")
    finally:
        connection.close()


def _measure(attack: Attack, clients: int, seconds: float = 30.0) -> str:
    with run_server() as server, run_attack(server, attack, clients) as crowd:
        refused, after = 0, "never"
        begin = time.monotonic()
        while time.monotonic() - begin < seconds:
            with suppress(OSError, http.client.HTTPException):
                if scrape(server.port) == (200, SERIES):
                    after = f"{time.monotonic() - begin:.2f} s"
                    break
            refused += 1
            time.sleep(0.05)
        time.sleep(min(2.0, seconds))  # a server that an attack ends may end a little later
        state = "runs" if server.thread.is_alive() else "has ended"
        return f"{len(crowd.clients):6d} clients, server {state}, refused {refused} times, first whole scrape: {after}"


def main() -> None:
    """Print the outcome of every attack."""
    parser = argparse.ArgumentParser(prog="python -m scripts.hostile", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("clients", type=int, nargs="?", default=10_000, help="of each attack (10000)")
    clients = parser.parse_args().clients
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    for name, attack in ATTACKS.items():
        print(f"{name:36}{_measure(attack, clients)}", flush=True)


if __name__ == "__main__":
    main()
