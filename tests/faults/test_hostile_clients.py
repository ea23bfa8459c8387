"""Clients that keep connections, read nothing, drip or reset: the own port lives, and a scraper gets its answer.

The attacks are those of ``python -m scripts.hostile``, which prints figures, with fewer clients than there.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
import time
from contextlib import suppress

import httpx
import pytest

from asyncmetrics.errors import DefinitionError
from asyncmetrics.exposition import start_http_server
from scripts.hostile import ATTACKS, GET, SERIES, run_attack, run_server, scrape
from tests.live import make_live
from tests.patience import PATIENCE_SECONDS

CLIENTS = 150  # more than there may be connections


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_a_scraper_is_served_at_its_first_attempt_and_nothing_is_logged(attack, caplog):
    with run_server() as server, run_attack(server, attack, CLIENTS):
        while (outcome := scrape(server.port))[0] == 503:  # the scrapes of the last clients have only just begun
            time.sleep(0.05)
        assert outcome == (200, SERIES)
        assert server.thread.is_alive()
    assert caplog.records == []


@pytest.mark.slow
@pytest.mark.parametrize("attack", ["reads nothing", "pipelines and reads nothing", "pipelines without credentials"])
def test_the_server_lives_on_after_clients_that_took_nothing(attack):
    """It abandons them after ``timeout_seconds``, and is over with them when their connections are closed.

    A busy server may send one all of it after all, and closes that connection because nothing follows.
    """
    with run_server(timeout_seconds=0.3, keep_alive_seconds=0.3) as server:
        with run_attack(server, ATTACKS[attack], 8) as crowd:
            time.sleep(1)  # they take nothing for longer than that
            for client in crowd.clients:
                _read_to_the_end(client)
        assert scrape(server.port) == (200, SERIES)


def _read_to_the_end(client: socket.socket) -> None:
    client.settimeout(PATIENCE_SECONDS)
    try:
        while client.recv(1 << 20):
            pass
    except ConnectionResetError:
        pass


def _yielding(family):
    return type("Collecting", (), {"blocking": False, "collect": lambda self: [family]})()


def _raising(error):
    def predicate(scope):
        raise error

    return predicate


ERRORS = [ValueError("no"), SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit()]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_whatever_a_request_raises_ends_its_own_connection_at_most(registry, error):
    """A family that raises while it is rendered, then a predicate that does."""
    collector = _yielding(make_live("torn", lambda: _raising(error)(None)))
    registry.register(collector)
    for options in ({}, {"auth": _raising(error)}):
        with start_http_server(0, registry=registry, **options) as server:
            for _ in range(3):
                with suppress(httpx.RemoteProtocolError):
                    assert httpx.get(f"http://127.0.0.1:{server.port}/").status_code in {500, 403}
            assert server.thread.is_alive()
    registry.unregister(collector)
    assert _counted(registry, "exposition", "exposition.auth", "exposition.server") == 6


def _counted(registry, *places) -> float:
    name = "asyncmetrics_internal_errors_total"
    return sum(registry.get_sample_value(name, {"where": place}) or 0 for place in places)


def test_a_serving_thread_that_ends_is_logged_and_counted(registry, monkeypatch, caplog):
    async def wait_readable(listening):
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr("asyncmetrics.exposition.server.connections.wait_readable", wait_readable)
    with start_http_server(0, registry=registry) as server:
        server.thread.join()
    assert f"asyncmetrics-port-{server.port}: the server has ended, the metrics are no longer served" in caplog.text
    assert _counted(registry, "exposition.server.thread") == 1


def test_stopping_does_not_wait_for_a_collector_that_ignores_its_cancellation(registry):
    asked, go, back = threading.Event(), threading.Event(), []

    class Stubborn:
        async def collect(self):
            asked.set()
            while not go.is_set():
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.01)
            back.append(1)
            return []

    registry.register(Stubborn())
    server = start_http_server(0, registry=registry)
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_SECONDS) as client:
        client.sendall(GET)
        assert asked.wait(PATIENCE_SECONDS)
        server.close()
    assert not back
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))
    go.set()
    server.thread.join()


@pytest.mark.parametrize(
    "options",
    [{"max_connections": 0}, {"timeout_seconds": 0}, {"keep_alive_seconds": -1}, {"timeout_seconds": float("nan")}]
    + [{"max_concurrent": 0}, {"uds": "somewhere", "port": 80}],
    ids=lambda options: next(iter(options)),
)
def test_limits_that_make_no_sense_are_refused_by_their_name(registry, options):
    with pytest.raises(DefinitionError, match=f"^{next(iter(options))}: expected "):
        start_http_server(registry=registry, **options)


def test_a_kept_connection_is_closed_after_its_time(registry):
    with start_http_server(0, registry=registry, keep_alive_seconds=0.1) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_SECONDS) as client:
            client.sendall(GET.replace(b"GET", b"HEAD"))
            assert client.recv(10_000).startswith(b"HTTP/1.1 200 ")
            assert client.recv(1) == b""
