"""FastAPI's routers that are included in others, and what is added to them later."""

from __future__ import annotations

import fastapi
import pytest
from fastapi import APIRouter, FastAPI
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router

from tests.middleware.routes.endpoints import ok

pytestmark = [pytest.mark.edge("route"), pytest.mark.framework("starlette")]


def included() -> tuple[FastAPI, APIRouter]:
    """Make a router with every kind of route, included within another one."""
    inner = APIRouter(prefix="/inner/{i}")
    inner.get("/api/{x}")(lambda i, x: x)
    inner.routes.append(Route("/inner/{i}/plain/{x}", ok))
    inner.routes.append(Mount("/inner/{i}/mounted", Router([Route("/leaf/{x}", ok)])))
    outer = APIRouter(prefix="/outer")
    outer.include_router(inner)
    app = FastAPI()
    app.include_router(outer, prefix="/v1")
    return app, inner


@pytest.mark.framework("fastapi")
async def test_a_route_of_a_router_within_an_included_router_is_its_template(route_of):
    app, _ = included()
    assert await route_of(app, "/v1/outer/inner/1/api/2") == "/v1/outer/inner/{i}/api/{x}"


live = pytest.mark.skipif(
    not hasattr(fastapi.routing, "iter_route_contexts"),
    reason=f"FastAPI {fastapi.__version__} copies routes when a router is included, and leaves out Starlette's",
)


@pytest.mark.framework("fastapi")
@live
async def test_starlettes_routes_in_an_included_router_have_their_templates(route_of):
    app, _ = included()
    assert await route_of(app, "/v1/outer/inner/1/plain/2") == "/v1/outer/inner/{i}/plain/{x}"
    assert await route_of(app, "/v1/outer/inner/1/mounted/leaf/2") == "/v1/outer/inner/{i}/mounted/leaf/{x}"


@pytest.mark.framework("fastapi")
@live
async def test_what_comes_to_a_router_within_an_included_router_later_is_found(route_of):
    app, inner = included()
    assert await route_of(app, "/v1/outer/inner/1/api/2") == "/v1/outer/inner/{i}/api/{x}"
    inner.get("/late/{x}")(lambda x: x)
    assert await route_of(app, "/v1/outer/inner/1/late/2") == "/v1/outer/inner/{i}/late/{x}"


@pytest.mark.framework("fastapi")
@pytest.mark.skipif(not hasattr(FastAPI, "frontend"), reason=f"FastAPI {fastapi.__version__} has no frontend()")
async def test_a_frontend_of_an_included_router_is_one_route_and_no_fault(tmp_path, route_of, totals):
    (tmp_path / "index.html").write_text("<html></html>")
    router = APIRouter()
    router.get("/api/{x}")(lambda x: x)
    router.frontend("/site", directory=tmp_path)
    app = FastAPI()
    app.include_router(router, prefix="/v1")
    assert await route_of(app, "/v1/site/page") == "<frontend>"
    assert (await route_of(app, "/v1/api/1"), totals("internal")) == ("/v1/api/{x}", {})

    async def preflight(scope, receive, send):
        scope["app"] = app
        await PlainTextResponse("early")(scope, receive, send)

    assert await route_of(preflight, "/nowhere") == "<unmatched>"
