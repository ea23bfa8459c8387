"""One scrape of an ASGI application, without a server."""

from __future__ import annotations

import pytest

from tests.asgi import make_scope


@pytest.fixture
def scrape():
    """Return the body that the application answers with: ``await scrape(app)``."""

    async def scrape(app, headers=()) -> str:
        messages = []

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            messages.append(message)

        await app(make_scope(path="/", headers=headers), receive, send)
        return b"".join(message.get("body", b"") for message in messages).decode()

    return scrape
