"""Applications with every shape of routing that Starlette and FastAPI have, and what is to be counted for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router
from starlette.staticfiles import StaticFiles

from tests.middleware.routes.endpoints import ok, other

__all__ = ("HAS_FRONTEND", "STACKS", "Shape")

HAS_FRONTEND = hasattr(FastAPI, "frontend")


async def twice(request):
    return PlainTextResponse("twice")


class Shown(HTTPEndpoint):
    async def get(self, request):
        return PlainTextResponse("shown")


async def opaque(scope, receive, send):
    await PlainTextResponse("opaque")(scope, receive, send)


@dataclass
class Shape:
    """A request, and the route and the status that are to be counted for it."""

    path: str
    route: str
    status: int = 200
    method: str = "GET"
    host: str = "shop.example"

    def __str__(self) -> str:
        at = "" if self.host == "shop.example" else f" at {self.host}"
        return f"{self.method} {self.path}{at} is {self.route}, {self.status}"


def mounts(folder, sub) -> list[Any]:
    """What both frameworks may have beside their own routes."""
    nested = Router([Route("/leaf/{id:int}", ok), Mount("/deeper", Router([Route("/{a}/{b}", other)]))])
    return [
        Mount("/nested", nested),
        Mount("/outer/{tenant}", routes=[Mount("/inner", routes=[Route("/x/{y}", ok)])]),
        Mount("/sub", sub),
        Mount("/again", sub),
        Mount("/wrapped", GZipMiddleware(sub)),
        Mount("/static", StaticFiles(directory=folder)),
        Mount("/opaque", opaque),
        Mount("/rooted", routes=[Route("/", ok)]),
        Host("{name}.api.example", Router([Route("/hosted/{x}", ok), Mount("/mounted", routes=[Route("/{y}", ok)])])),
    ]


def starlette(folder) -> Starlette:
    sub = Starlette(routes=[Route("/in/{x}", ok), Route("/slashed/", ok)])
    own = [
        Route("/", ok),
        Route("/plain", other),
        Route("/items/{item}", ok),
        Route("/numbers/{n:int}/halves/{h:float}", ok),
        Route("/files/{path:path}", ok),
        Route("/ids/{id:uuid}", ok),
        Route("/shown/{x}", Shown),
        Route("/twice/one/{x}", twice),
        Route("/twice/two/{y}", twice),
        Route("/slashed/", ok),
        Route("/posted", other, methods=["POST"]),
        Route("/shared/{a}", ok, methods=["GET"]),
        Route("/shared/{b}", other, methods=["PUT"]),
    ]
    return Starlette(routes=[*own, *mounts(folder, sub)])


def refuse() -> None:
    raise HTTPException(401)


def fastapi_app(folder) -> FastAPI:
    sub = FastAPI()
    sub.get("/in/{x}")(lambda x: x)
    sub.get("/slashed/")(lambda: "ok")
    app = FastAPI(routes=[Route("/shown/{x}", Shown), *mounts(folder, sub)])
    for path in ("/", "/plain", "/numbers/{n:int}/halves/{h:float}", "/files/{path:path}", "/ids/{id:uuid}"):
        app.get(path)(lambda: "ok")
    app.api_route("/items/{item}", methods=["GET", "HEAD"], include_in_schema=False)(lambda: "ok")
    app.get("/twice/one/{x}")(app.get("/twice/two/{y}")(lambda: "twice"))
    app.get("/slashed/")(lambda: "ok")
    app.post("/posted")(lambda: "ok")
    app.get("/shared/{a}")(lambda: "ok")
    app.put("/shared/{b}")(lambda: "ok")
    app.get("/guarded/{x}", dependencies=[Depends(refuse)])(lambda: "ok")
    included(app, sub, folder)
    return app


def included(app: FastAPI, sub: FastAPI, folder) -> None:
    leaf = APIRouter(prefix="/leaf")
    leaf.get("/{n}")(number)
    leaf.get("/by/{path:path}")(lambda: "ok")
    middle = APIRouter(prefix="/middle/{tenant}")
    middle.include_router(leaf, prefix="/deep")
    middle.get("")(lambda: "ok")
    app.include_router(leaf)
    app.include_router(leaf, prefix="/v2")
    app.include_router(middle, prefix="/v3")
    sub.include_router(leaf)
    mounted = APIRouter()
    mounted.include_router(leaf)
    app.mount("/router", mounted)
    if HAS_FRONTEND:
        (folder / "site").mkdir()
        (folder / "site" / "index.html").write_text("<html></html>")
        app.frontend("/site", directory=folder / "site")


async def number(n: int) -> int:
    if n > 99:
        raise HTTPException(404)
    return n


COMMON = {
    "the root": Shape("/", "/"),
    "a path without parameters": Shape("/plain", "/plain"),
    "a parameter": Shape("/items/1", "/items/{item}"),
    "a parameter with an encoded space": Shape("/items/a%20b", "/items/{item}"),
    "HEAD": Shape("/items/1", "/items/{item}", method="HEAD"),
    "parameters of a type": Shape("/numbers/3/halves/1.5", "/numbers/{n}/halves/{h}"),
    "parameters of another type": Shape("/numbers/x/halves/y", "<unmatched>", 404),
    "the rest of a path": Shape("/files/a/b/c.txt", "/files/{path}"),
    "a uuid": Shape("/ids/12345678-1234-5678-1234-567812345678", "/ids/{id}"),
    "a class of methods": Shape("/shown/1", "/shown/{x}"),
    "a 405 of a class of methods": Shape("/shown/1", "/shown/{x}", 405, "DELETE"),
    "the first of two places": Shape("/twice/one/1", "/twice/one/{x}"),
    "the second of two places": Shape("/twice/two/1", "/twice/two/{y}"),
    "the first of two methods": Shape("/shared/1", "/shared/{a}"),
    "the second of two methods": Shape("/shared/1", "/shared/{b}", method="PUT"),
    "a 405 of two methods": Shape("/shared/1", "/shared/{a}", 405, "DELETE"),
    "a 405": Shape("/posted", "/posted", 405),
    "a method nobody has heard of": Shape("/items/1", "/items/{item}", 405, "EVIL1"),
    "a slash at the end": Shape("/slashed/", "/slashed/"),
    "a redirect to a slash": Shape("/slashed", "<unmatched>", 307),
    "a redirect from a slash": Shape("/plain/", "<unmatched>", 307),
    "nothing that is routed": Shape("/nowhere", "<unmatched>", 404),
    "a mount": Shape("/sub/in/1", "/sub/in/{x}"),
    "the same application mounted again": Shape("/again/in/1", "/again/in/{x}"),
    "nothing in a mount": Shape("/sub/nothing", "/sub/{path}", 404),
    "a 405 in a mount": Shape("/sub/in/1", "/sub/in/{x}", 405, "DELETE"),
    "a redirect in a mount": Shape("/sub/slashed", "/sub/{path}", 307),
    "a redirect to a mount": Shape("/rooted", "<unmatched>", 307),
    "the root of a mount": Shape("/rooted/", "/rooted/"),
    "a mount behind middleware": Shape("/wrapped/in/1", "/wrapped/in/{x}"),
    "a router in a mount": Shape("/nested/leaf/7", "/nested/leaf/{id}"),
    "a router in a router": Shape("/nested/deeper/1/2", "/nested/deeper/{a}/{b}"),
    "nothing in a router": Shape("/nested/leaf/x", "/nested/{path}", 404),
    "nothing in a router in a router": Shape("/nested/deeper/1", "/nested/deeper/{path}", 404),
    "a mount in a mount": Shape("/outer/acme/inner/x/1", "/outer/{tenant}/inner/x/{y}"),
    "nothing in the outer mount": Shape("/outer/acme/nothing", "/outer/{tenant}/{path}", 404),
    "nothing in the inner mount": Shape("/outer/acme/inner/no", "/outer/{tenant}/inner/{path}", 404),
    "an application without routes": Shape("/opaque/anything/at/all", "/opaque/{path}"),
    "a static file": Shape("/static/there.txt", "/static/{path}"),
    "a static file that is missing": Shape("/static/missing.txt", "/static/{path}", 404),
    "a host": Shape("/hosted/1", "/hosted/{x}", host="a.api.example"),
    "a mount of a host": Shape("/mounted/1", "/mounted/{y}", host="a.api.example"),
    "nothing at a host": Shape("/nothing", "/{path}", 404, host="a.api.example"),
    "a path of a host at another": Shape("/hosted/1", "<unmatched>", 404),
}

OWN = {
    "an included router": Shape("/leaf/1", "/leaf/{n}"),
    "an exception that is a 404": Shape("/leaf/100", "/leaf/{n}", 404),
    "a parameter that is not valid": Shape("/leaf/x", "/leaf/{n}", 422),
    "a dependency that refuses": Shape("/guarded/1", "/guarded/{x}", 401),
    "the rest of a path in an included router": Shape("/leaf/by/a/b", "/leaf/by/{path}"),
    "a 405 of an included router": Shape("/leaf/1", "/leaf/{n}", 405, "DELETE"),
    "the same router included again": Shape("/v2/leaf/1", "/v2/leaf/{n}"),
    "an included router in an included router": Shape(
        "/v3/middle/acme/deep/leaf/1", "/v3/middle/{tenant}/deep/leaf/{n}"
    ),
    "the prefix of an included router": Shape("/v3/middle/acme", "/v3/middle/{tenant}"),
    "nothing in an included router": Shape("/v2/leaf", "<unmatched>", 404),
    "a redirect in an included router": Shape("/leaf/1/", "<unmatched>", 307),
    "an included router in a mounted application": Shape("/sub/leaf/1", "/sub/leaf/{n}"),
    "an included router in a mounted router": Shape("/router/leaf/1", "/router/leaf/{n}"),
    "nothing in a mounted router": Shape("/router/nothing", "/router/{path}", 404),
    "the documentation": Shape("/docs", "/docs"),
    "the schema": Shape("/openapi.json", "/openapi.json"),
    "the documentation of a mounted application": Shape("/sub/docs", "/sub/docs"),
    "a page of a frontend": Shape("/site/", "<frontend>"),
}

STACKS: dict[str, tuple[Callable[..., Any], dict[str, Shape]]] = {
    "starlette": (starlette, COMMON),
    "fastapi": (fastapi_app, COMMON | OWN),
}
