"""urllib3 and requests: each attempt is one call, which ends with the body of its response."""

from __future__ import annotations

import gc
import io
import threading
from collections.abc import Iterator
from types import ModuleType

import pytest
import requests
import urllib3
from requests.adapters import BaseAdapter
from urllib3.util import Retry, Timeout

from tests.servers.processes import find_free_port

pytestmark = pytest.mark.blocking


@pytest.fixture
def library() -> ModuleType:
    return urllib3


@pytest.fixture
def manager(measured) -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(retries=False) as manager:
        yield manager


def test_a_request_counts_once_with_its_method_server_and_status(manager, server, samples):
    assert manager.request("GET", f"{server.url}/status/404").status == 404
    found = samples("http_client_request_duration_seconds_count", "method", "server", "status")
    assert found == {("GET", server.netloc, "404"): 1}


def test_a_request_of_requests_counts_once(measured, server, statuses):
    assert requests.get(f"{server.url}/ok", timeout=None).text == "hello"  # noqa: S113
    assert statuses() == {"200": 1}


def test_an_unknown_method_is_other(manager, server, samples):
    manager.urlopen("BREW", f"{server.url}/ok")
    assert samples("http_client_request_duration_seconds_count", "method") == {("_OTHER",): 1}


def test_each_redirect_is_a_call_of_its_own(measured, server, statuses):
    with urllib3.PoolManager() as manager:
        assert manager.request("GET", f"{server.url}/redirect/2").status == 200
    assert statuses() == {"302": 2, "200": 1}


def test_each_redirect_of_a_pool_is_a_call_of_its_own(measured, server, statuses):
    with urllib3.HTTPConnectionPool("127.0.0.1", server.server_port) as pool:
        assert pool.request("GET", "/redirect/2").status == 200
    assert statuses() == {"302": 2, "200": 1}


def test_each_retry_after_a_status_is_a_call_of_its_own(measured, server, statuses, active):
    retries = Retry(5, status_forcelist=[503], backoff_factor=0)
    with urllib3.PoolManager(retries=retries) as manager:
        response = manager.request("GET", f"{server.url}/retry/3", preload_content=False)
        assert active() == 0  # its body is empty
        assert response.status == 200
    assert statuses() == {"503": 2, "200": 1}


def test_each_attempt_whose_connection_breaks_is_an_error(measured, server, statuses, exceptions):
    with (
        urllib3.PoolManager(retries=Retry(2, backoff_factor=0)) as manager,
        pytest.raises(urllib3.exceptions.MaxRetryError),
    ):
        manager.request("GET", f"{server.url}/reset")
    assert statuses() == {"error": 3}
    assert exceptions() == {"RemoteDisconnected": 3}


def test_a_refused_connection_is_an_error(manager, statuses, exceptions, active):
    with pytest.raises(urllib3.exceptions.NewConnectionError):
        manager.request("GET", f"http://127.0.0.1:{find_free_port()}/")
    assert (statuses(), exceptions(), active()) == ({"error": 1}, {"NewConnectionError": 1}, 0)


@pytest.mark.parametrize("preload", [True, False])
def test_a_response_that_does_not_come_in_time_is_an_error(manager, server, statuses, exceptions, preload):
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        manager.request("GET", f"{server.url}/silent", timeout=Timeout(read=0.05), preload_content=preload)
    assert (statuses(), exceptions()) == ({"error": 1}, {"ReadTimeoutError": 1})


def test_a_pool_without_a_free_connection_is_an_error(measured, server, statuses, exceptions):
    with urllib3.HTTPConnectionPool("127.0.0.1", server.server_port, maxsize=1, block=True, retries=False) as pool:
        response = pool.request("GET", "/slow", preload_content=False)
        with pytest.raises(urllib3.exceptions.EmptyPoolError):
            pool.request("GET", "/ok", pool_timeout=0.01)
        assert (statuses(), exceptions()) == ({"error": 1}, {"EmptyPoolError": 1})
        server.release.set()
        response.drain_conn()
    assert statuses() == {"error": 1, "200": 1}


@pytest.mark.parametrize(("path", "error"), [("broken", "ProtocolError"), ("broken-chunks", "ProtocolError")])
@pytest.mark.parametrize("preload", [True, False])
def test_a_body_that_breaks_off_counts_its_exception_and_keeps_its_status(
    manager, server, statuses, exceptions, active, path, error, preload
):
    with pytest.raises(urllib3.exceptions.ProtocolError):
        manager.request("GET", f"{server.url}/{path}", preload_content=preload).read()
    assert (statuses(), exceptions(), active()) == ({"200": 1}, {error: 1}, 0)


def read(response):
    response.read()


def stream(response):
    assert b"".join(response.stream(3)) == b"x" * 30


def drain(response):
    response.drain_conn()


def close(response):
    response.close()


def release(response):
    next(response.stream(3))
    response.release_conn()


@pytest.mark.parametrize("end", [read, stream, drain, close, release])
def test_a_call_ends_with_its_body(manager, server, statuses, active, end):
    response = manager.request("GET", f"{server.url}/chunks/3", preload_content=False)
    assert (statuses(), active()) == ({}, 1)
    end(response)
    assert (statuses(), active()) == ({"200": 1}, 0)


def test_a_response_that_is_dropped_ends_when_it_is_collected(manager, server, statuses, active):
    response = manager.request("GET", f"{server.url}/slow", preload_content=False)
    assert active() == 1
    del response
    gc.collect()
    assert (statuses(), active()) == ({"200": 1}, 0)


def test_a_generator_of_a_body_that_is_dropped_ends_the_call(manager, server, statuses, exceptions):
    response = manager.request("GET", f"{server.url}/slow", preload_content=False)
    chunks = response.stream(5)
    assert next(chunks) == b"first"
    del chunks, response
    gc.collect()
    assert (statuses(), exceptions()) == ({"200": 1}, {})


def test_an_exception_of_the_application_while_it_reads_is_not_counted(manager, server, statuses, exceptions):
    response = manager.request("GET", f"{server.url}/chunks/3", preload_content=False)
    response.read(3)
    try:
        raise ValueError
    except ValueError:
        response.release_conn()
    assert (statuses(), exceptions()) == ({"200": 1}, {})


def test_a_body_that_is_read_at_once_ends_the_call_before_the_response_is_returned(manager, server, statuses, active):
    response = manager.request("GET", f"{server.url}/chunks/3")
    assert (statuses(), active()) == ({"200": 1}, 0)
    assert response.data == b"x" * 30


def test_a_pool_class_that_sends_by_itself_is_measured(measured, statuses, exceptions, active):
    class Pool(urllib3.HTTPConnectionPool):
        def _make_request(self, *_, **__):
            return urllib3.HTTPResponse(io.BytesIO(b"mine"), status=200, preload_content=False)

    pool = Pool("shop.example")
    responses = [pool.request("GET", "/", preload_content=False) for _ in range(2)]
    assert active() == 2
    for response in responses:
        response.close()
    assert (statuses(), exceptions(), active()) == ({"200": 2}, {}, 0)
    pool.close()


@pytest.mark.parametrize(("method", "path"), [("HEAD", "ok"), ("GET", "status/204"), ("GET", "status/304")])
def test_a_response_without_a_body_ends_at_once(manager, server, statuses, active, method, path):
    response = manager.request(method, f"{server.url}/{path}", preload_content=False)
    assert (statuses(), active()) == ({str(response.status): 1}, 0)


def test_a_call_inside_the_body_of_a_request_is_a_call_of_its_own(manager, server, statuses):
    def body():
        yield manager.request("GET", f"{server.url}/ok").data

    response = manager.request("POST", f"{server.url}/echo", body=body())
    assert response.data == b"hello"
    assert statuses() == {"200": 2}


def test_requests_in_a_stream_of_requests_are_calls_of_their_own(measured, server, statuses):
    with requests.Session() as session, session.get(f"{server.url}/chunks/2", stream=True) as response:
        assert [session.get(f"{server.url}/ok").text for _ in response.iter_content(10)] == ["hello", "hello"]
        assert statuses() == {"200": 3}


def test_a_session_of_requests_counts_a_body_that_breaks_off(measured, server, statuses, exceptions):
    with requests.Session() as session, pytest.raises(requests.exceptions.ChunkedEncodingError):
        session.get(f"{server.url}/broken-chunks")
    assert (statuses(), exceptions()) == ({"200": 1}, {"ProtocolError": 1})


def test_a_request_through_a_proxy_has_the_server_of_its_url(measured, server, samples):
    with urllib3.ProxyManager(server.url) as manager:
        assert manager.request("GET", "http://shop.example:8080/ok").data == b"hello"
    assert samples("http_client_request_duration_seconds_count", "server") == {("shop.example:8080",): 1}


def test_each_tunnel_that_a_proxy_refuses_is_an_error(measured, server, statuses, exceptions, active):
    with (
        urllib3.ProxyManager(server.url, retries=Retry(1, backoff_factor=0)) as manager,
        pytest.raises(urllib3.exceptions.MaxRetryError),
    ):
        manager.request("GET", "https://shop.example/ok")
    assert (statuses(), exceptions(), active()) == ({"error": 2}, {"ProxyError": 2}, 0)


def test_an_adapter_without_urllib3_is_not_counted(measured, statuses):
    class Mock(BaseAdapter):
        def send(self, *_, **__):
            response = requests.Response()
            response.status_code = 200
            return response

        def close(self):
            pass

    with requests.Session() as session:
        session.mount("http://", Mock())
        assert session.get("http://shop.example/").status_code == 200
    assert statuses() == {}


def test_sessions_in_threads_count_each_call(measured, server, statuses, active):
    def work():
        with requests.Session() as session:
            for _ in range(20):
                session.get(f"{server.url}/ok")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (statuses(), active()) == ({"200": 80}, 0)
