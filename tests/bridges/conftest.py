"""One scrape of an ASGI application, without a server."""

from __future__ import annotations

import pytest


@pytest.fixture
def scrape():
    """Return the body that the application answers with: ``await scrape(app)``."""

    async def scrape(app) -> str:
        messages = []
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            messages.append(message)

        await app(scope, receive, send)
        return b"".join(message.get("body", b"") for message in messages).decode()

    return scrape
