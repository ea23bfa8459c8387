"""`serve_metrics`: an own port on the application's event loop."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import threading

import anyio
import httpx
import pytest

from asyncmetrics import Counter, Gauge, serve_metrics
from asyncmetrics.core import GaugeMetricFamily
from asyncmetrics.errors import DefinitionError
from tests.loops import on_every_loop
from tests.patience import PATIENCE_SECONDS, PROGRAM_SECONDS, eventually


async def get(port, **options):
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"http://127.0.0.1:{port}/metrics", **options)


async def is_open(port):
    try:
        stream = await anyio.connect_tcp("127.0.0.1", port)
    except OSError:
        return False
    await stream.aclose()
    return True


def test_it_serves_for_the_block(registry, run):
    Counter("jobs_total", "J.", registry=registry).inc()

    async def main():
        async with serve_metrics(registry=registry) as server:
            response = await get(server.port)
        return response, await is_open(server.port)

    response, is_still_open = run(main)
    assert response.status_code == 200
    assert "jobs_total 1.0" in response.text
    assert not is_still_open


def test_it_serves_until_it_is_closed(registry, run):
    async def main():
        server = await serve_metrics(registry=registry)
        status = (await get(server.port)).status_code
        await server.aclose()
        await server.aclose()
        return status, await is_open(server.port)

    assert run(main) == (200, False)


def test_another_thread_may_close_it(registry, run):
    async def main():
        server = await serve_metrics(registry=registry)
        await anyio.to_thread.run_sync(server.close)
        with anyio.fail_after(PATIENCE_SECONDS):
            while await is_open(server.port):
                await anyio.sleep(0.01)

    run(main)


def test_async_collectors_run_on_the_loop_of_the_application(registry, run):
    async def main():
        event, begun = anyio.Event(), anyio.Event()

        class Waiting:
            async def collect(self):
                begun.set()
                await event.wait()
                return [GaugeMetricFamily("thread", "T.", threading.get_ident())]

        registry.register(Waiting(), loop=None)
        async with serve_metrics(registry=registry) as server, anyio.create_task_group() as tasks:

            async def set_later():
                await begun.wait()
                event.set()

            tasks.start_soon(set_later)
            return (await get(server.port)).text

    (line,) = [line for line in run(main).splitlines() if line.startswith("thread")]
    assert float(line.removeprefix("thread ")) == threading.get_ident()


def test_a_port_that_is_taken_is_named(registry, run):
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(OSError, match=f"cannot be served on '127.0.0.1', port {port}"):
                async with serve_metrics(port, registry=registry):
                    pass
            with pytest.raises(OSError, match="cannot be served"):
                await serve_metrics(port, registry=registry)

    run(main)


@pytest.mark.parametrize(
    "options",
    [
        {"port": "9000"},
        {"addr": 5},
        {"registry": "x"},
        {"max_connections": 0},
        {"keyfile": "key.pem"},
        {"on_error": "x"},
    ],
    ids=str,
)
def test_a_wrong_option_is_refused_at_the_call(options):
    with pytest.raises(DefinitionError):
        serve_metrics(**options)


def test_clients_without_credentials_are_refused(registry, run):
    async def main():
        async with serve_metrics(registry=registry, auth="secret") as server:
            refused = await get(server.port)
            granted = await get(server.port, headers={"Authorization": "Bearer secret"})
            return refused.status_code, granted.status_code

    assert run(main) == (401, 200)


def test_it_listens_on_a_unix_socket_and_removes_it(registry, run, tmp_path):
    path = tmp_path / "metrics.sock"

    async def main():
        async with serve_metrics(registry=registry, uds=str(path)) as server:
            assert (server.port, server.server_address) == (0, str(path))
            async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path))) as client:
                return (await client.get("http://localhost/metrics")).status_code

    assert run(main) == 200
    assert not path.exists()


def test_a_scrape_under_way_ends_with_the_server(registry, run):
    """Its collector is cancelled, and nothing is counted as an internal error."""

    async def main():
        begun, cancelled = anyio.Event(), []

        async def wait():
            begun.set()
            try:
                await anyio.sleep_forever()
            finally:
                cancelled.append(1)

        Gauge("g", "G.", registry=registry).set_function(wait)
        async with anyio.create_task_group() as tasks:

            async def scrape(port):
                with pytest.raises(httpx.HTTPError):
                    await get(port)

            async with serve_metrics(registry=registry) as server:
                tasks.start_soon(scrape, server.port)
                await begun.wait()
        await eventually(lambda: cancelled, [1])

    run(main)
    assert list(registry.restricted_registry(["asyncmetrics_internal_errors"]).collect()) == []


def test_it_ends_with_its_loop_in_silence(registry, backend, caplog):
    """Also while scrapers keep their connections: the loop may cancel their tasks before the server's own."""

    def keep_connection(port):
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        client.recv(1)
        return client

    async def main():
        server = await serve_metrics(registry=registry)
        return server.port, [await anyio.to_thread.run_sync(keep_connection, server.port) for _ in range(20)]

    port, clients = anyio.run(main, backend=backend)
    for client in clients:
        client.close()
    assert not asyncio.run(is_open(port))
    assert caplog.records == []


@on_every_loop
async def test_an_object_that_is_entered_twice_says_so(registry):
    serving = serve_metrics(0, registry=registry)
    async with serving:
        with pytest.raises(RuntimeError, match="entered twice"):
            await serving.__aenter__()


PROGRAM = """
import asyncio, signal, sys, threading, urllib.request
from asyncmetrics import serve_metrics

def stop(number, frame):
    raise {error}

def admit(scope):
    signal.raise_signal(signal.SIGUSR1)
    return True

async def main():
    signal.signal(signal.SIGUSR1, stop)
    async with serve_metrics(0, auth=admit) as server:
        url = f"http://127.0.0.1:{{server.port}}/"
        request = threading.Thread(target=urllib.request.urlopen, args=(url,), daemon=True)
        request.start()
        await asyncio.to_thread(request.join)
        print("goes on")

threading.excepthook = lambda _: None
asyncio.run(main())
"""


@pytest.mark.parametrize(("error", "status"), [("KeyboardInterrupt", -signal.SIGINT), ("SystemExit(3)", 3)])
def test_a_signal_handler_ends_the_program_that_serves_from_its_own_loop(error, status):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(error=error)],
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
