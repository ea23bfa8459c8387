"""What hostile and careless clients do to the server on its own port: ``python -m scripts.hostile [clients]``.

Every attack opens connections that use up whatever they can and keep them; then a scraper comes. The table says whether
the server lives, how often the scraper was refused, and after how many seconds it got a whole exposition.
tests/faults/test_hostile_clients.py runs the same attacks, with fewer clients.
"""

from __future__ import annotations

import http.client
import resource
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeAlias, final

from asyncmetrics import CollectorRegistry, Counter
from asyncmetrics.exposition import RunningServer, start_http_server

__all__ = ("ATTACKS", "SERIES", "Crowd", "attacked", "scrape", "serving")

GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
TOKEN = "the scraper's"  # noqa: S105  # of a server that lives for a moment
SERIES = 40_000  # 6 MB of text, more than the system's buffers take
_RESET = struct.pack("ii", 1, 0)
_DRIP_SECONDS = 1.0
_PATIENCE_SECONDS = 120.0


@final
class Crowd:
    """The connections of one attack; each may go on with ``drip``, once a second."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.clients: list[socket.socket] = []
        self.drip: Callable[[socket.socket], object] | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on)

    def connect(self, *, receive_buffer: int = 0) -> socket.socket:
        """Open one more connection, which does not block from then on."""
        client = socket.socket()
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(_PATIENCE_SECONDS)
        client.connect(("127.0.0.1", self.port))
        client.setblocking(False)
        self.clients.append(client)
        return client

    def begin(self) -> None:
        """Go on in a thread."""
        self._thread.start()

    def end(self) -> None:
        """Close every connection."""
        self._over.set()
        self._thread.join()
        for client in self.clients:
            client.close()

    def _go_on(self) -> None:
        while self.drip is not None and not self._over.wait(_DRIP_SECONDS):
            for client in self.clients:
                with suppress(OSError):
                    self.drip(client)


def _idle(crowd: Crowd) -> None:
    crowd.connect()


def _refused_method(crowd: Crowd) -> None:
    crowd.connect().send(GET.replace(b"GET", b"POST"))


def _refused_credentials(crowd: Crowd) -> None:
    crowd.connect().send(GET)


def _kept_alive(crowd: Crowd) -> None:
    crowd.connect().send(_admitted(GET.replace(b"GET", b"HEAD")))


def _slow_request(crowd: Crowd) -> None:
    crowd.connect().send(b"G")
    crowd.drip = lambda client: client.send(b"G")


def _slow_reader(crowd: Crowd) -> None:
    crowd.connect(receive_buffer=4096).send(_admitted(GET))
    crowd.drip = lambda client: client.recv(1)


def _reads_nothing(crowd: Crowd) -> None:
    crowd.connect(receive_buffer=4096).send(_admitted(GET))


def _pipelines(crowd: Crowd) -> None:
    crowd.connect(receive_buffer=4096).send(_admitted(GET) * 100)


def _pipelines_without_credentials(crowd: Crowd) -> None:
    crowd.connect(receive_buffer=4096).send(GET * 1000)


def _resets(crowd: Crowd) -> None:
    client = crowd.connect()
    client.send(_admitted(GET))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    client.close()


def _admitted(request: bytes) -> bytes:
    return request.replace(b"Host: x", b"Host: x\r\nAuthorization: Bearer " + TOKEN.encode())


Attack: TypeAlias = Callable[[Crowd], None]
"""What one client does."""

ATTACKS: dict[str, Attack] = {
    "connects and is silent": _idle,
    "sends a POST and is silent": _refused_method,
    "sends no credentials and is silent": _refused_credentials,
    "is served once and then silent": _kept_alive,
    "sends a byte a second": _slow_request,
    "reads a byte a second": _slow_reader,
    "reads nothing": _reads_nothing,
    "pipelines and reads nothing": _pipelines,
    "pipelines without credentials": _pipelines_without_credentials,
    "resets its connection": _resets,
}


@contextmanager
def serving(series: int = SERIES, **options: float) -> Iterator[RunningServer]:
    """Serve so many series on a port of their own, for clients with the right token."""
    registry = CollectorRegistry()
    jobs = Counter("jobs", "Jobs.", ["kind"], registry=registry, max_children=None)
    for number in range(series):
        jobs.labels(f"{number:0128}").inc()
    with start_http_server(0, registry=registry, auth=TOKEN, **options) as server:  # type: ignore[arg-type]
        yield server


@contextmanager
def attacked(server: RunningServer, attack: Attack, clients: int) -> Iterator[Crowd]:
    """Have so many clients do what ``attack`` says, all of them connected from the beginning."""
    crowd = Crowd(server.port)
    try:
        for _ in range(clients):
            with suppress(OSError):  # a client that the server has closed already
                attack(crowd)
        crowd.begin()
        yield crowd
    finally:
        crowd.end()


def scrape(port: int) -> tuple[int, int]:
    """Scrape once; return the status, and how many series there were. Raises `OSError` where there is no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
    try:
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        answer = connection.getresponse()
        return answer.status, answer.read().count(b"\njobs_total{")
    finally:
        connection.close()


def _outcome(attack: Attack, clients: int, seconds: float = 30.0) -> str:
    with serving() as server, attacked(server, attack, clients) as crowd:
        refused, after = 0, "never"
        begin = time.monotonic()
        while time.monotonic() - begin < seconds:
            with suppress(OSError, http.client.HTTPException):
                if scrape(server.port) == (200, SERIES):
                    after = f"{time.monotonic() - begin:.2f} s"
                    break
            refused += 1
            time.sleep(0.05)
        time.sleep(min(2.0, seconds))  # a server that ends does so a while later
        state = "lives" if server.thread.is_alive() else "has ended"
        return f"{len(crowd.clients):6d} clients, server {state}, refused {refused} times, first good scrape: {after}"


def main() -> None:
    """Print what becomes of every attack."""
    clients = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for name, attack in ATTACKS.items():
        print(f"{name:36}{_outcome(attack, clients)}", flush=True)


if __name__ == "__main__":
    main()
