"""The server on a Unix socket: what it replaces, what it leaves alone, and what is left of it."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest

from asyncmetrics import Counter
from asyncmetrics.errors import DefinitionError
from asyncmetrics.exposition import start_http_server

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")


@pytest.fixture
def path(tmp_path) -> str:
    return str(tmp_path / "metrics.sock")


def _get(path: str) -> httpx.Response:
    with httpx.Client(transport=httpx.HTTPTransport(uds=path), timeout=120) as client:
        return client.get("http://metrics/metrics")


def test_it_serves_the_registry(registry, path):
    Counter("jobs", "Jobs.", registry=registry).inc()
    with start_http_server(uds=path, registry=registry) as server:
        assert "jobs_total 1.0" in _get(path).text
        assert (server.port, server.server.server_address) == (0, path)


def test_the_scope_names_the_socket(registry, path):
    """As ASGI has it: a path without a port, and no client."""
    seen = []
    with start_http_server(uds=path, registry=registry, auth=lambda scope: seen.append(scope) or True):
        _get(path)
    assert (seen[0]["server"], seen[0]["client"]) == ((path, None), None)


def test_it_is_removed_at_the_end(registry, path):
    start_http_server(uds=path, registry=registry).close()
    assert not Path(path).exists()


def test_one_that_a_killed_process_has_left_behind_is_replaced(registry, path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
    with start_http_server(uds=path, registry=registry):
        assert _get(path).status_code == 200


def test_one_that_another_server_listens_on_is_left_alone(registry, path):
    with start_http_server(uds=path, registry=registry):
        with pytest.raises(OSError, match=f"cannot be served on the Unix socket '{path}': Address already in use"):
            start_http_server(uds=path, registry=registry)
        assert _get(path).status_code == 200


def test_a_file_that_is_no_socket_is_left_alone(registry, path):
    Path(path).write_text("mine")
    with pytest.raises(OSError, match="Address already in use"):
        start_http_server(uds=path, registry=registry)
    assert Path(path).read_text() == "mine"


def test_a_path_that_is_too_long_is_the_callers_error(registry, tmp_path):
    with pytest.raises(OSError, match="cannot be served on the Unix socket '.*': AF_UNIX path too long"):
        start_http_server(uds=str(tmp_path / ("x" * 200)), registry=registry)


def test_the_socket_of_a_server_that_has_taken_its_place_is_left_alone(registry, path):
    first = start_http_server(uds=path, registry=registry)
    Path(path).unlink()
    with start_http_server(uds=path, registry=registry):
        first.close()
        assert _get(path).status_code == 200


@pytest.mark.parametrize("uds", ["", "\0name", b"metrics.sock", Path("metrics.sock")])
def test_a_value_that_is_no_path_is_refused(registry, uds):
    with pytest.raises(DefinitionError, match="^uds: expected the path of a Unix socket, got "):
        start_http_server(uds=uds, registry=registry)
