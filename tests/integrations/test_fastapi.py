"""FastAPI's schema, validation, dependencies and background tasks. (Its routes: tests/middleware/routes)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from fastapi.responses import StreamingResponse

import asyncmetrics

pytestmark = [pytest.mark.edge("route"), pytest.mark.framework("fastapi")]


async def resource() -> AsyncIterator[str]:
    yield "resource"


async def failing() -> AsyncIterator[str]:
    yield "resource"
    raise OSError


def _fail() -> None:
    raise KeyError


def build() -> FastAPI:
    app = FastAPI()

    @app.get("/items/{item}")
    async def item(item: int, held: Annotated[str, Depends(resource)]) -> int:
        if item > 99:
            raise HTTPException(404)
        return item

    @app.get("/sync/{item}")
    def sync(item: int) -> int:
        return item

    @app.get("/torn")
    async def torn(held: Annotated[str, Depends(failing)]) -> str:
        return held

    @app.get("/background")
    async def background(tasks: BackgroundTasks) -> str:
        tasks.add_task(_fail)
        return "background"

    @app.get("/streamed")
    async def streamed() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for part in (b"a", b"b", b"c"):
                yield part

        return StreamingResponse(parts())

    return app


@pytest.fixture
def app(registry) -> FastAPI:
    return asyncmetrics.instrument(build(), registry=registry)


EXPECTED = {
    "/items/1": ("/items/{item}", "200"),
    "/items/100": ("/items/{item}", "404"),
    "/items/x": ("/items/{item}", "422"),
    "/sync/1": ("/sync/{item}", "200"),
    "/background": ("/background", "200"),
    "/streamed": ("/streamed", "200"),
    "/docs": ("/docs", "200"),
    "/nowhere": ("<unmatched>", "404"),
}


async def test_routes_and_statuses(app, seen):
    found = {path: await seen(app, path) for path in EXPECTED}
    assert found == EXPECTED


async def test_what_fails_after_the_response_is_counted_and_changes_no_status(app, seen, samples):
    assert await seen(app, "/background") == ("/background", "200")
    assert samples("http_server_exceptions_total", "route", "type") == {("/background", "KeyError"): 1}


async def test_a_dependency_that_fails_to_end_is_counted_by_its_route(app, seen):
    route, status = await seen(app, "/torn")
    assert (route, status in {"200", "500"}) == ("/torn", True)  # FastAPI has ended them before and after the response


async def test_the_exposition_is_in_no_schema(app, ask):
    schema = (await ask(app, "/openapi.json")).json()
    assert "/items/{item}" in schema["paths"]
    assert not any("metrics" in path for path in schema["paths"])


async def test_a_route_for_every_path_does_not_hide_the_exposition(registry, ask):
    app = FastAPI()

    @app.get("/{path:path}")
    async def everything(path: str) -> str:
        return "everything"

    asyncmetrics.instrument(app, registry=registry)
    assert "http_server" in (await ask(app, "/metrics")).text
    assert (await ask(app, "/other")).json() == "everything"
