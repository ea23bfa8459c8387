"""Under a real uvicorn: close codes, refusals, disconnects, and that nothing between client and application changes."""

from __future__ import annotations

import asyncio
from functools import partial

import httpx
import pytest
import websockets
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

import asyncmetrics
from asyncmetrics import MetricsMiddleware
from tests.patience import PATIENCE_SECONDS, eventually

pytestmark = [pytest.mark.edge("server"), pytest.mark.framework("starlette")]


async def talk(websocket):
    """Answer messages, and do what the path says."""
    what = websocket.path_params["what"]
    if what == "refuse":
        await websocket.close()
        return
    if what == "deny":
        await websocket.send_denial_response(PlainTextResponse("who are you?", 401))
        return
    if what == "fail-early":
        raise ValueError(what)
    await websocket.accept()
    if what == "close":
        await websocket.close(4001)
        return
    if what == "fail":
        raise ValueError(what)
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        if what == "unhandled":
            raise


@pytest.fixture
def talking(serve, registry):
    """Serve websockets, and return the base of their addresses."""
    app = Starlette(routes=[WebSocketRoute("/{what}", talk)])
    asyncmetrics.instrument(app, registry=registry)
    return serve(app, log_level="critical").replace("http", "ws")


connect = partial(
    websockets.connect,
    open_timeout=PATIENCE_SECONDS,
    ping_timeout=PATIENCE_SECONDS,
    close_timeout=PATIENCE_SECONDS,
)


@pytest.mark.parametrize("code", [1000, 1001, 3456, 4999])
async def test_the_code_that_a_real_client_closes_with_is_counted(code, talking, totals):
    async with connect(f"{talking}/echo") as client:
        await client.close(code)
    label = str(code) if code < 3000 else f"{code // 1000}xxx"
    await eventually(lambda: totals("connected"), {("/{what}", "accepted", label): 1})


async def test_a_real_client_that_vanishes_has_the_code_that_the_server_reports(talking, totals):
    """By RFC 6455 that is 1006; one of uvicorn's protocols says 1005."""
    client = await connect(f"{talking}/echo")
    client.transport.abort()
    await eventually(lambda: sum(totals("connected").values()), 1)
    assert set(totals("connected")) <= {("/{what}", "accepted", "1006"), ("/{what}", "accepted", "1005")}


async def test_a_close_that_the_application_does_not_handle_is_no_exception(talking, totals):
    async with connect(f"{talking}/unhandled"):
        pass
    await eventually(lambda: totals("connected"), {("/{what}", "accepted", "1000"): 1})
    assert totals("websocket exceptions") == {}


async def test_the_code_that_the_application_closes_with_is_counted(talking, totals):
    async with connect(f"{talking}/close") as client:
        await client.wait_closed()
        assert client.close_code == 4001
    await eventually(lambda: totals("connected"), {("/{what}", "accepted", "4xxx"): 1})


REFUSALS = {"refuse": 403, "deny": 401, "fail-early": 500}


@pytest.mark.parametrize("what", REFUSALS)
async def test_the_status_that_a_real_client_is_refused_with_is_counted(what, talking, totals):
    with pytest.raises(websockets.InvalidStatus) as refused:
        await connect(f"{talking}/{what}")
    assert refused.value.response.status_code == REFUSALS[what]
    await eventually(lambda: totals("connected"), {("/{what}", f"rejected_{REFUSALS[what]}", ""): 1})


async def test_a_connection_that_fails_is_1006_to_the_client_and_to_us(talking, totals):
    async with connect(f"{talking}/fail") as client:
        await client.wait_closed()
        assert client.close_code == 1006
    await eventually(lambda: totals("connected"), {("/{what}", "accepted", "1006"): 1})
    assert totals("websocket exceptions") == {("/{what}", "ValueError"): 1}


async def test_real_messages_are_counted_while_the_connection_is_open(talking, totals):
    async with connect(f"{talking}/echo") as client:
        for text in ("one", "zwö"):
            await client.send(text)
            assert await client.recv() == text
        await eventually(lambda: totals("messages"), {("/{what}", "received"): 2, ("/{what}", "sent"): 2})
        assert totals("message bytes") == {("/{what}", "received"): 7, ("/{what}", "sent"): 7}
        assert totals("open") == {("/{what}"): 1}
    await eventually(lambda: totals("open"), {("/{what}"): 0})


async def test_is_disconnected_is_right_under_the_middleware(serve, registry, totals):
    seen = []

    async def waiting(request):
        seen.append(await request.is_disconnected())
        while not await request.is_disconnected():
            await asyncio.sleep(0.01)
        seen.append(True)
        return PlainTextResponse("too late")

    app = asyncmetrics.instrument(Starlette(routes=[Route("/", waiting)]), registry=registry, body_sizes=True)
    async with httpx.AsyncClient(base_url=serve(app)) as client:
        asking = asyncio.create_task(client.get("/"))
        await eventually(lambda: seen, [False])
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    await eventually(lambda: totals("counted"), {("GET", "/", "499"): 1})
    assert seen == [False, True]


async def test_a_stream_passes_chunk_by_chunk(serve, registry, totals):
    """The next chunk is made only when the client has the one before."""
    go_on = asyncio.Event()
    loops = []

    async def chunks():
        for number in range(3):
            loops.append(asyncio.get_running_loop())
            go_on.clear()
            yield f"chunk {number}"
            await asyncio.wait_for(go_on.wait(), PATIENCE_SECONDS)

    async def streaming(request):
        return StreamingResponse(chunks())

    app = asyncmetrics.instrument(
        Starlette(routes=[Route("/", streaming)]), registry=registry, body_sizes=True, first_byte=True
    )
    got = []
    async with httpx.AsyncClient(base_url=serve(app)) as client, client.stream("GET", "/") as response:
        async for chunk in response.aiter_text():
            got.append(chunk)
            loops[0].call_soon_threadsafe(go_on.set)
    assert got == ["chunk 0", "chunk 1", "chunk 2"]
    await eventually(lambda: totals("sent"), {("GET", "/"): 21})


def around(app, middleware, **options):
    app.add_middleware(middleware, **options)
    return app


async def _pass_on(request, call_next):
    return await call_next(request)


ALL = {"first_byte": True, "body_sizes": True, "background": True}
ARRANGEMENTS = {
    "BaseHTTPMiddleware beneath": lambda app, wrap: wrap(around(app, BaseHTTPMiddleware, dispatch=_pass_on)),
    "BaseHTTPMiddleware above": lambda app, wrap: BaseHTTPMiddleware(wrap(app), dispatch=_pass_on),
    "GZipMiddleware beneath": lambda app, wrap: wrap(around(app, GZipMiddleware, minimum_size=10)),
    "GZipMiddleware above": lambda app, wrap: GZipMiddleware(wrap(app), minimum_size=10),
}


def pages():
    ran = []

    async def page(request):
        body = await request.body()
        return PlainTextResponse(body * 100, background=BackgroundTask(ran.append, "background"))

    async def stream():
        for _ in range(3):
            yield "part " * 50

    async def streamed(request):
        return StreamingResponse(stream())

    return Starlette(routes=[Route("/page", page, methods=["POST"]), Route("/streamed", streamed)]), ran


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
async def test_beside_other_middleware_a_client_sees_no_difference(arrangement, serve, registry, totals):
    answers = []
    for wrap in (lambda app: app, lambda app: MetricsMiddleware(app, registry=registry, **ALL)):
        app, ran = pages()
        async with httpx.AsyncClient(base_url=serve(ARRANGEMENTS[arrangement](app, wrap))) as client:
            for method, path in (("POST", "/page"), ("GET", "/streamed"), ("GET", "/nowhere")):
                answer = await client.request(method, path, content=b"0123456789" if method == "POST" else None)
                kept = {name: value for name, value in answer.headers.items() if name != "date"}
                answers.append((answer.status_code, kept, answer.content))
        await eventually(lambda ran=ran: ran, ["background"])
    assert answers[:3] == answers[3:]
    counted = {("POST", "/page", "200"), ("GET", "/streamed", "200"), ("GET", "<unmatched>", "404")}
    await eventually(lambda: set(totals("counted")), counted)


async def test_the_sizes_are_those_on_the_wire(serve, registry, totals):
    """Above GZip, that is what it made."""
    app, _ = pages()
    app.add_middleware(GZipMiddleware, minimum_size=10)
    asyncmetrics.instrument(app, registry=registry, body_sizes=True)
    async with httpx.AsyncClient(base_url=serve(app)) as client:
        answer = await client.post("/page", content=b"0123456789")
    sizes = ({("POST", "/page"): 10}, {("POST", "/page"): int(answer.headers["content-length"])})
    await eventually(lambda: (totals("received"), totals("sent")), sizes)
    assert int(answer.headers["content-length"]) < len(answer.content) == 1000
