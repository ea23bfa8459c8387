"""Scraping an application from within an event loop, as often at a time as a test likes."""

from __future__ import annotations

import gc
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import thread_time

import anyio
import pytest

from asyncmetrics.errors import MetricsError
from tests.asgi import make_scope


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
    scope = make_scope(headers=headers, **request)

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


FACTOR = 4
MOST = 8.0  # times: half way between the 4 of linear and the 16 of quadratic time
FLOOR = 0.0005  # seconds: below it the clock and the interpreter's own work decide
ATTEMPTS = 12


def _seconds(call: Callable[[], object]) -> float:
    begun = thread_time()
    with suppress(MetricsError):
        call()
    return thread_time() - begun


@pytest.fixture
def assert_linear():
    """Fail unless the time of ``prepare(n)()`` grows with ``n`` and no faster: ``assert_linear(prepare, n)``.

    The time of the thread alone is measured, at ``4 n``, and just before and after at ``n``: other work on the machine
    slows all three. A ratio that is too large is measured again, since such work may begin or end in between. No
    garbage collection is measured. No two inputs are equal, since a cache would hide what the first one took.
    """

    def assert_linear(prepare: Callable[[int], Callable[[], object]], n: int) -> None:
        attempts = []
        for attempt in range(ATTEMPTS):
            before = _seconds(prepare(n + 2 * attempt))
            large = _seconds(prepare(FACTOR * n + attempt))
            after = _seconds(prepare(n + 2 * attempt + 1))
            attempts.append((large / max(min(before, after), FLOOR), large))
            if attempts[-1][0] <= MOST:
                return
        ratio, large = min(attempts)
        pytest.fail(f"{FACTOR} times the input took {ratio:.1f} times as long: {large:.3f} s")

    gc.disable()
    yield assert_linear
    gc.enable()
