"""Asking an ASGI application without a server, on either event loop, and registries that are large or broken."""

from __future__ import annotations

import socket
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import anyio
import pytest

from asyncmetrics import CollectorRegistry, Metric
from asyncmetrics.exposition import start_http_server
from tests.asgi import make_scope
from tests.live import make_live
from tests.patience import PATIENCE_SECONDS, wait_until

SAMPLES_PER_PAGE = 2000


@dataclass
class Answer:
    """What an application has sent."""

    messages: list[dict] = field(default_factory=list)

    @property
    def status(self) -> int:
        return self.messages[0]["status"]

    @property
    def headers(self) -> dict[str, str]:
        pairs = [(name.decode(), value.decode()) for name, value in self.messages[0]["headers"]]
        assert len(dict(pairs)) == len(pairs), "a header is there twice"
        return dict(pairs)

    @property
    def chunks(self) -> list[bytes]:
        return [message["body"] for message in self.messages[1:]]

    @property
    def complete(self) -> bool:
        return bool(self.messages) and self.messages[-1].get("more_body") is False

    @property
    def text(self) -> str:
        body = b"".join(self.chunks)
        return (zlib.decompress(body, 31) if body and "content-encoding" in self.headers else body).decode()

    @property
    def lines(self) -> list[str]:
        """The lines of the application, without those of the library about the scrapes themselves."""
        return [line for line in self.text.splitlines() if "asyncmetrics_scrape" not in line]


@pytest.fixture
def scope() -> Callable[..., dict]:
    return make_scope


@pytest.fixture(scope="session")
def ask() -> Callable[..., Answer]:
    """Ask an application once: ``ask(app, method=…, path=…, query=…, headers=…, backend=…)``."""

    def ask(app, backend="asyncio", **request) -> Answer:
        answer = Answer()

        async def exchange() -> None:
            asked = False

            async def receive() -> dict:
                nonlocal asked
                if asked:
                    await anyio.sleep_forever()
                asked = True
                return {"type": "http.request", "body": b"", "more_body": False}

            async def send(message: dict) -> None:
                answer.messages.append(message)

            with anyio.fail_after(PATIENCE_SECONDS):
                await app(make_scope(**request), receive, send)

        anyio.run(exchange, backend=backend)
        return answer

    return ask


class Pages:
    """A collector of families of about 100 KB each, that notes which of them have been rendered."""

    def __init__(self, count: int, broken_at: int | None = None) -> None:
        self.count = count
        self.broken_at = broken_at
        self.rendered: list[int] = []

    def collect(self):
        return [make_live(f"page_{number}", partial(self.read, number)) for number in range(self.count)]

    def read(self, number: int) -> list[tuple[dict[str, str], float]]:
        if number == self.broken_at:
            raise LookupError("a page is torn")
        self.rendered.append(number)
        return [({"position": f"{number:06}", "index": f"{index:06}"}, index) for index in range(SAMPLES_PER_PAGE)]


@pytest.fixture(scope="session")
def wait_for_outcome() -> Callable[[CollectorRegistry, str], None]:
    """Wait until a scrape with this outcome is counted: ``wait_for_outcome(registry, "abandoned")``."""

    def wait_for_outcome(registry: CollectorRegistry, outcome: str) -> None:
        def outcomes() -> list[str | None]:
            families = registry.restricted_registry(["asyncmetrics_scrapes"]).collect()
            return [sample.labels.get("outcome") for family in families for sample in family.samples]

        wait_until(outcomes, lambda found: outcome in found)

    return wait_for_outcome


@pytest.fixture
def paged() -> Callable[..., tuple[CollectorRegistry, Pages]]:
    """Make a registry with one `Pages` collector: ``registry, pages = paged(100)``."""

    def paged(count: int, broken_at: int | None = None) -> tuple[CollectorRegistry, Pages]:
        registry = CollectorRegistry()
        pages = Pages(count, broken_at)
        registry.register(pages)
        return registry, pages

    return paged


@pytest.fixture
def failing() -> CollectorRegistry:
    """A registry with a collector that raises, and one that works."""

    class Failing:
        def collect(self):
            raise LookupError("secret://user:password@host")

    class Working:
        def collect(self):
            family = Metric("still_there", "Works.", "gauge")
            family.add_sample("still_there", {}, 1)
            return [family]

    registry = CollectorRegistry()
    registry.register(Failing())
    registry.register(Working())
    return registry


@pytest.fixture
def start(registry):
    """Start servers that are closed at the end: ``port = start()``."""
    running = []

    def start(of=registry, **options) -> int:
        running.append(start_http_server(0, registry=of, **options))
        return running[-1].port

    yield start
    for server in running:
        server.close()


@pytest.fixture
def connect():
    """Open connections that are closed at the end: ``client = connect(port)``."""
    opened = []

    def connect(port: int, **options) -> socket.socket:
        opened.append(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS, **options))
        return opened[-1]

    yield connect
    for client in opened:
        client.close()
