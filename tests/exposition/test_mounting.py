"""The ASGI application under frameworks and under a real uvicorn."""

from __future__ import annotations

import socket
from contextlib import closing

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.routing import Mount, Route

from asyncmetrics import Counter
from asyncmetrics.exposition import make_asgi_app

MOUNTS = {
    "alone": lambda app: app,
    "mount": lambda app: Starlette(routes=[Mount("/metrics", app)]),
    "route": lambda app: Starlette(routes=[Route("/metrics", app)]),
    "middleware": lambda app: Starlette(
        routes=[Mount("/metrics", app)], middleware=[Middleware(BaseHTTPMiddleware, dispatch=_passing)]
    ),
    "fastapi mount": lambda app: _mounted(FastAPI(), app),
    "fastapi route": lambda app: _routed(FastAPI(), app),
}


async def _passing(request, call_next):
    return await call_next(request)


def _mounted(outer, app):
    outer.mount("/metrics", app)
    return outer


def _routed(outer, app):
    outer.add_route("/metrics", app)
    return outer


@pytest.mark.parametrize("path", ["/metrics", "/metrics/"])
@pytest.mark.parametrize("place", MOUNTS)
def test_both_spellings_of_the_path_are_served_wherever_it_is_put(serve, registry, place, path):
    """Where the router answers one of them with a redirect, the client is taken to follow it, as Prometheus does."""
    Counter("jobs", "Jobs.", registry=registry).inc()
    base = serve(MOUNTS[place](make_asgi_app(registry)))
    answer = httpx.get(base + path, follow_redirects=True)
    assert (answer.status_code, "jobs_total 1" in answer.text) == (200, True)


@pytest.fixture(params=[("h11", "asyncio"), ("httptools", "uvloop")], ids=" on ".join)
def parts(request) -> dict[str, str]:
    """What uvicorn speaks HTTP through, and the loop that it runs."""
    for part in request.param:
        pytest.importorskip(part)
    return dict(zip(("http", "loop"), request.param, strict=True))


def test_uvicorn_serves_it_alone_with_gzip_head_and_refusals(serve, paged, parts):
    registry, _ = paged(10)
    with httpx.Client(base_url=serve(make_asgi_app(registry), **parts)) as client:
        assert client.get("/metrics").text.count("\npage_") == 20_000
        assert client.get("/metrics").headers["content-encoding"] == "gzip"
        assert client.head("/metrics").content == b""
        assert client.post("/metrics", content=b"x" * 1000).status_code == 405
        assert client.get("/favicon.ico").status_code == 404


def test_uvicorn_stops_the_rendering_when_the_client_is_gone(serve, paged, wait_for_outcome, parts):
    registry, pages = paged(400)
    base = httpx.URL(serve(make_asgi_app(registry), **parts))
    with closing(socket.create_connection((base.host, base.port))) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        client.recv(1000)
    wait_for_outcome(registry, "abandoned")
    assert 0 < len(pages.rendered) < 300


def test_uvicorn_refuses_a_websocket_with_403(serve, registry):
    """And goes on serving."""
    pytest.importorskip("websockets")
    base = httpx.URL(serve(make_asgi_app(registry)))
    upgrade = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    upgrade += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    with closing(socket.create_connection((base.host, base.port))) as client:
        client.sendall(upgrade)
        assert b" 403 " in client.recv(1000)
    assert httpx.get(base).status_code == 200
