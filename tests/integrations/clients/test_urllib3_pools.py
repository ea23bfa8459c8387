"""urllib3 and requests: pools of connections, single sessions and pools, sizes of bodies, and undoing."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

import asyncmetrics
from asyncmetrics import instrument, instrument_all, uninstrument
from tests.growth import count_objects, find_growth
from tests.patience import wait_for

pytestmark = pytest.mark.blocking


@pytest.fixture
def library() -> ModuleType:
    return urllib3


@pytest.fixture
def manager(measured) -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(retries=False) as manager:
        yield manager


def test_a_pool_exposes_its_connections_and_the_calls_that_wait(measured, server, samples, registry):
    def numbers():
        return (
            samples("http_client_connection_count", "pool", "state"),
            samples("http_client_connection_max", "pool"),
            samples("http_client_connection_pending_requests", "pool"),
        )

    pool = urllib3.HTTPConnectionPool("127.0.0.1", server.server_port, maxsize=2, block=True)
    first, second = (pool.request("GET", "/slow", preload_content=False) for _ in range(2))
    thread = threading.Thread(target=pool.request, args=("GET", "/ok"))
    thread.start()
    states = {("urllib3-1", "idle"): 0, ("urllib3-1", "used"): 2}
    wait_for(numbers, (states, {("urllib3-1",): 2}, {("urllib3-1",): 1}))
    server.release.set()
    first.drain_conn()
    second.drain_conn()
    thread.join()
    states = {("urllib3-1", "idle"): 2, ("urllib3-1", "used"): 0}
    assert numbers() == (states, {("urllib3-1",): 2}, {("urllib3-1",): 0})
    pool.close()
    assert numbers() == ({}, {}, {})


@pytest.mark.parametrize("path", ["reset", "broken", "close"])
def test_a_connection_that_is_lost_is_no_longer_in_its_pool(measured, server, samples, path):
    with urllib3.HTTPConnectionPool("127.0.0.1", server.server_port, retries=False) as pool:
        with suppress(urllib3.exceptions.HTTPError):
            pool.request("GET", f"/{path}")
        assert samples("http_client_connection_count", "state")[("used",)] == 0
        assert pool.request("GET", "/ok").status == 200
        assert samples("http_client_connection_count", "state") == {("idle",): 1, ("used",): 0}


def test_a_name_that_is_free_again_is_used_again(measured, server, samples):
    for _ in range(3):
        with urllib3.HTTPConnectionPool("127.0.0.1", server.server_port) as pool:
            pool.request("GET", "/ok")
            assert samples("http_client_connection_max", "pool") == {("urllib3-1",): 1}


def test_a_session_alone_is_measured_with_adapters_that_are_mounted_later(server, registry, samples):
    session = requests.Session()
    assert instrument(session, registry=registry, name="shop") is session
    session.get(f"{server.url}/ok")
    session.mount(server.url, HTTPAdapter())
    session.get(f"{server.url}/ok")
    requests.get(f"{server.url}/ok", timeout=None)  # noqa: S113
    assert samples("http_client_request_duration_seconds_count", "status") == {("200",): 2}
    assert samples("http_client_connection_count", "pool", "state")["shop", "idle"] == 2
    uninstrument(session)
    session.get(f"{server.url}/ok")
    assert samples("http_client_request_duration_seconds_count", "status") == {("200",): 2}
    assert samples("http_client_connection_count", "pool") == {}
    session.close()


def test_a_manager_alone_is_measured(server, registry, statuses):
    with urllib3.PoolManager() as manager, urllib3.PoolManager() as other:
        instrument(manager, registry=registry)
        manager.request("GET", f"{server.url}/ok")
        other.request("GET", f"{server.url}/ok")
        assert statuses() == {"200": 1}
        uninstrument(manager)


def test_a_pool_alone_is_measured(server, registry, statuses):
    with urllib3.HTTPConnectionPool("127.0.0.1", server.server_port) as pool:
        instrument(pool, registry=registry)
        pool.request("GET", "/ok")
        assert statuses() == {"200": 1}
        uninstrument(pool)


def test_a_session_in_a_measured_library_counts_once_by_its_own_metrics(server, registry, statuses, measured):
    own = asyncmetrics.CollectorRegistry()
    with requests.Session() as session:
        session.get(f"{server.url}/ok")
        instrument(session, registry=own)
        session.get(f"{server.url}/ok")
        uninstrument(session)
        session.get(f"{server.url}/ok")
    labels = {"method": "GET", "server": server.netloc, "status": "200"}
    assert own.get_sample_value("http_client_request_duration_seconds_count", labels) == 1
    assert statuses() == {"200": 2}


@pytest.mark.parametrize(
    ("body", "size"), [(None, 0), (b"four", 4), ("ä", 2), (memoryview(b"four"), 4), ([b"ab", b"c"], 3)]
)
def test_the_size_of_a_body_is_measured_on_request(server, registry, body, size):
    with urllib3.PoolManager() as manager:
        instrument(manager, registry=registry, body_sizes=True)
        response = manager.request("POST", f"{server.url}/echo", body=body)
        assert len(response.data) == size
        uninstrument(manager)
    labels = {"method": "POST", "server": server.netloc}
    for name in ("request", "response"):
        assert registry.get_sample_value(f"http_client_{name}_body_size_bytes_sum", labels) == size
        assert registry.get_sample_value(f"http_client_{name}_body_size_bytes_count", labels) == 1


class Odd:
    """A body that urllib3 takes, and that we cannot judge."""

    def __bool__(self):
        raise RuntimeError

    def __iter__(self):
        return iter([b"odd"])


def test_a_body_that_cannot_be_measured_is_sent_as_it_is(server, registry, statuses):
    with urllib3.PoolManager() as manager:
        instrument(manager, registry=registry, body_sizes=True)
        assert manager.request("POST", f"{server.url}/echo", body=Odd()).data == b"odd"
        assert manager.request("POST", f"{server.url}/echo", body=io.BytesIO(b"file")).data == b"file"
        uninstrument(manager)
    assert statuses() == {"200": 2}


def test_the_size_of_a_chunked_body_is_that_of_its_bytes(server, registry):
    with urllib3.PoolManager() as manager:
        instrument(manager, registry=registry, body_sizes=True, first_byte=True)
        response = manager.request("GET", f"{server.url}/chunks/3", preload_content=False)
        assert b"".join(response.stream()) == b"x" * 30
        uninstrument(manager)
    labels = {"method": "GET", "server": server.netloc}
    assert registry.get_sample_value("http_client_response_body_size_bytes_sum", labels) == 30
    assert registry.get_sample_value("http_client_time_to_first_byte_seconds_count", labels) == 1


PATCHED = (
    (urllib3.HTTPConnectionPool, "urlopen"),
    (urllib3.HTTPConnectionPool, "close"),
    (urllib3.HTTPConnectionPool, "_make_request"),
    (urllib3.HTTPResponse, "release_conn"),
    (urllib3.HTTPResponse, "close"),
    (urllib3.HTTPResponse, "_handle_chunk"),
    (urllib3.PoolManager, "connection_from_pool_key"),
    (requests.Session, "get_adapter"),
    (urllib3.HTTPResponse, "_update_chunk_length"),
    (HTTPAdapter, "get_connection"),
)


def test_undo_leaves_the_classes_as_they_were(server, registry, samples):
    before = [vars(owner)[name] for owner, name in PATCHED]
    with urllib3.PoolManager() as manager:
        with instrument_all(only=["urllib3"], registry=registry):
            assert [vars(owner)[name] for owner, name in PATCHED] != before
            manager.request("GET", f"{server.url}/ok")
            assert samples("http_client_connection_max", "pool") != {}
        assert [vars(owner)[name] for owner, name in PATCHED] == before
        assert samples("http_client_connection_max", "pool") == {}


def test_a_pool_class_that_overrides_urlopen_is_left_alone(measured, server, statuses):
    class Pool(urllib3.HTTPConnectionPool):
        def urlopen(self, *args, **kwargs):
            return "mine"

    assert Pool("127.0.0.1").request("GET", "/") == "mine"
    assert statuses() == {}


def test_responses_and_calls_do_not_grow_with_the_number_of_requests(manager, server):
    def count(requests):
        for _ in range(requests):
            manager.request("GET", f"{server.url}/ok")
        return count_objects()

    count(20)
    assert find_growth([count(100) for _ in range(4)]) < 10
