"""Scraping an application from within an event loop, as often at a time as a test likes."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
import pytest

from tests.patience import PATIENCE_SECONDS


@dataclass
class Scraped:
    """What one scrape got; ``complete`` only once the application had said that this is all."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False

    @property
    def text(self) -> str:
        return (zlib.decompress(self.body, 31) if "content-encoding" in self.headers else self.body).decode()

    @property
    def lines(self) -> list[str]:
        """The samples of the application's own metrics."""
        return [line for line in self.text.splitlines() if not line.startswith(("#", "asyncmetrics_"))]


async def _scrape(app, *, on_chunk=lambda _: None, gone: anyio.Event | None = None, **request) -> Scraped:
    scraped = Scraped()
    headers = [(name.encode(), value.encode()) for name, value in request.pop("headers", {}).items()]
    scope = {"type": "http", "method": "GET", "path": "/metrics", "query_string": b"", "headers": headers, **request}

    async def receive() -> dict:
        await (gone.wait() if gone else anyio.sleep_forever())
        return {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        if message["type"] == "http.response.start":
            scraped.status = message["status"]
            scraped.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        scraped.body += message["body"]
        scraped.complete = not message["more_body"]
        on_chunk(message["body"])

    await app(scope, receive, send)
    return scraped


@pytest.fixture(scope="session")
def scrape() -> Callable[..., Awaitable[Scraped]]:
    """Scrape: ``await scrape(app, headers={…}, gone=event, on_chunk=function)``."""
    return _scrape


@pytest.fixture(params=["asyncio", "trio"])
def backend(request) -> str:
    return request.param


@pytest.fixture
def run(backend):
    """Run a coroutine function on either event loop: ``result = run(main)``."""

    def run(main):
        async def limited():
            with anyio.fail_after(PATIENCE_SECONDS):
                return await main()

        return anyio.run(limited, backend=backend)

    return run
