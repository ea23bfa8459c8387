"""The lifespan of an application, without a server."""

from __future__ import annotations

from contextlib import asynccontextmanager

import anyio

__all__ = ("living",)


@asynccontextmanager
async def living(app, received=None):
    """Send an application its lifespan as a server does; ``received`` gets the types of its messages."""
    received = [] if received is None else received
    to_app, events = anyio.create_memory_object_stream(2)
    has_started = anyio.Event()

    async def send(message):
        received.append(message["type"])
        has_started.set()

    async def run():
        try:
            await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, events.receive, send)
        except Exception as error:  # noqa: BLE001  # an application without lifespans
            received.append(type(error).__name__)
        has_started.set()

    with to_app, events:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await to_app.send({"type": "lifespan.startup"})
            await has_started.wait()
            try:
                yield
            finally:
                await to_app.send({"type": "lifespan.shutdown"})
