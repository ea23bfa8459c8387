"""The route label for every shape that routing can have in Starlette and FastAPI, whatever is around the router."""

from __future__ import annotations

import mimetypes
from collections import Counter as Tally
from collections.abc import Callable
from typing import Any

import fastapi
import httpx
import pytest
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware

import asyncmetrics
from asyncmetrics import CollectorRegistry
from tests.middleware.routes.shapes import HAS_FRONTEND, STACKS, Shape

mimetypes.init()  # reads files, which must not happen on the loop of a test

pytestmark = pytest.mark.edge("route")

CASES = [(framework, case) for framework, (_, shapes) in STACKS.items() for case in shapes]


class Copying:
    """A middleware that gives the application a scope of its own."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(dict(scope), receive, send)


async def _passing(request, call_next):
    return await call_next(request)


# The middleware added, the root path of the server, and what stands before each path.
AROUND: dict[str, tuple[tuple[type, dict[str, Any]] | None, str, str]] = {
    "nothing": (None, "", ""),
    "BaseHTTPMiddleware": ((BaseHTTPMiddleware, {"dispatch": _passing}), "", ""),
    "GZipMiddleware": ((GZipMiddleware, {}), "", ""),
    "a middleware that copies the scope": ((Copying, {}), "", ""),
    "a proxy": (None, "/proxied", "/proxied"),
    "a proxy that takes its prefix off": (None, "/proxied", ""),
}


class Stack:
    """An application with something around it, and what is counted for it."""

    def __init__(self, framework: str, around: str, folder) -> None:
        middleware, self._root, self._before = AROUND[around]
        app = STACKS[framework][0](folder)
        if middleware is not None:
            app.add_middleware(middleware[0], **middleware[1])
        self._registry = CollectorRegistry()
        self._app = asyncmetrics.instrument(app, registry=self._registry)

    async def ask(self, shape: Shape) -> tuple[str, int]:
        """Ask for a shape, and return the one route and status that were counted for it."""
        before = self._counted()
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False, root_path=self._root)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{shape.host}") as client:
            await client.request(shape.method, self._before + shape.path)
        after = self._counted()
        ((route, status),) = {key for key in after if after[key] != before.get(key)}
        return route, int(status)

    def _counted(self) -> dict[tuple[str, str], float]:
        name = "http_server_request_duration_seconds_count"
        found: Tally[tuple[str, str]] = Tally()
        for sample in (sample for family in self._registry.collect() for sample in family.samples):
            if sample.name == name:
                found[sample.labels["route"], sample.labels["status"]] += sample.value
        return found


@pytest.fixture(scope="module")
def stacks(tmp_path_factory) -> Callable[[str, str], Stack]:
    """Build each stack once."""
    built: dict[tuple[str, str], Stack] = {}

    def stack(framework: str, around: str) -> Stack:
        if (framework, around) not in built:
            folder = tmp_path_factory.mktemp("folder")
            (folder / "there.txt").write_text("there")
            built[framework, around] = Stack(framework, around, folder)
        return built[framework, around]

    return stack


def expected(shape: Shape, around: str) -> tuple[str, int] | None:
    """Return what is counted for a shape; None where the framework itself does not route it."""
    if around == "a middleware that copies the scope" and (shape.host != "shop.example" or shape.route == "<frontend>"):
        return "<unmatched>", shape.status  # the path does not tell
    mounted = ("/nested", "/outer", "/sub", "/again", "/wrapped", "/rooted", "/router", "/mounted", "/static")
    if around == "a proxy that takes its prefix off" and shape.path.startswith(mounted):
        return None  # Starlette finds nothing below a mount then
    return shape.route, shape.status


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize(("framework", "case"), CASES)
async def test_the_route_that_is_counted_for(framework, case, around, stacks, asserted):
    """The same for the bare application, below every kind of middleware, and behind a proxy."""
    shape = STACKS[framework][1][case]
    wanted = expected(shape, around)
    if wanted is None:
        pytest.skip("Starlette finds nothing below a mount when the proxy takes its prefix off")
    if case == "a page of a frontend" and not HAS_FRONTEND:
        pytest.skip(f"FastAPI {fastapi.__version__} has no frontend()")
    asserted(str(shape))
    assert await stacks(framework, around).ask(shape) == wanted


@pytest.mark.parametrize("framework", STACKS)
def test_no_fewer_than_32_shapes_are_tried(framework):
    assert len(STACKS[framework][1]) >= 32
