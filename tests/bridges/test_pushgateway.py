"""Pushing: the same requests as prometheus_client's, over real sockets, and the errors when it fails."""

from __future__ import annotations

import gzip
import ipaddress
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import prometheus_client
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

import asyncmetrics
from asyncmetrics.bridges import pushgateway
from asyncmetrics.errors import PushError
from tests.patience import PATIENCE_SECONDS

GATEWAYS = ["gateway:9091", "http://gateway:9091/", "https://gateway/prefix"]
# Without "." and "..", which the gateway redirects to another path: ours are in base64, as a test below says.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(lambda text: text not in {".", ".."})
KEYS = st.dictionaries(st.sampled_from(["instance", "a", "zone"]), TEXT | st.integers(), max_size=3)


class Gateway(BaseHTTPRequestHandler):
    """A gateway that keeps what it gets; paths below ``/moved`` are redirected, those below ``/bad`` refused."""

    def answer(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.got.append((self.command, self.path, dict(self.headers), body))
        status = 307 if self.path.startswith("/moved") else 400 if self.path.startswith("/bad") else 202
        self.send_response(status)
        if status == 307:
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/metrics/job/there")
        self.end_headers()
        self.wfile.write(b"pushed metrics are invalid" if status == 400 else b"")

    do_PUT = do_POST = do_DELETE = answer

    def log_message(self, format, *args):
        """Say nothing."""


@pytest.fixture
def gateway():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    server.got = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def base(gateway):
    return f"127.0.0.1:{gateway.server_port}"


@pytest.fixture
def filled(registry):
    asyncmetrics.Counter("jobs_total", "Jobs.", registry=registry).inc(3)
    return registry


def asked(library, use, *arguments, **options):
    """What a library would send."""
    got = []

    def handler(url, method, timeout, headers, data):
        return lambda: got.append((url, method, timeout, headers, data))

    getattr(library, use)(*arguments, handler=handler, **options)
    return got


@given(where=st.sampled_from(GATEWAYS), job=TEXT, key=st.none() | KEYS)
def test_the_requests_are_the_same(where, job, key):
    registry = asyncmetrics.CollectorRegistry()
    for use in ("push_to_gateway", "pushadd_to_gateway"):
        ours, theirs = (asked(library, use, where, job, registry, key) for library in (asyncmetrics, prometheus_client))
        assert ours == theirs
    ours, theirs = (
        asked(library, "delete_from_gateway", where, job, key, 5) for library in (asyncmetrics, prometheus_client)
    )
    assert ours == theirs


@pytest.mark.parametrize(
    ("use", "method"), [(asyncmetrics.push_to_gateway, "PUT"), (asyncmetrics.pushadd_to_gateway, "POST")]
)
def test_a_push_sends_the_text_format(use, method, gateway, base, filled):
    use(base, "nightly", filled, {"instance": "a/b"}, timeout=PATIENCE_SECONDS)
    [(command, path, headers, body)] = gateway.got
    assert (command, path) == (method, "/metrics/job/nightly/instance@base64/YS9i")
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert body == asyncmetrics.generate_latest(filled)


@pytest.mark.parametrize(("value", "written"), [(".", "Lg=="), ("..", "Li4=")])
def test_a_value_that_a_server_takes_for_a_step_of_the_path_is_encoded(gateway, base, filled, value, written):
    asyncmetrics.push_to_gateway(base, value, filled, {"instance": value}, timeout=PATIENCE_SECONDS)
    assert [found[1] for found in gateway.got] == [f"/metrics/job@base64/{written}/instance@base64/{written}"]


def test_a_push_can_be_compressed(gateway, base, filled):
    asyncmetrics.push_to_gateway(base, "nightly", filled, compression="gzip")
    [(_, _, headers, body)] = gateway.got
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == asyncmetrics.generate_latest(filled)


def test_a_compression_that_there_is_not_is_refused_before_anything_is_sent(gateway, base, filled):
    with pytest.raises(ValueError, match="expected None or 'gzip', got 'snappy'"):
        asyncmetrics.push_to_gateway(base, "nightly", filled, compression="snappy")
    assert gateway.got == []


def test_no_registry_is_the_default_one(gateway, base):
    asyncmetrics.pushadd_to_gateway(base, "nightly", None)
    assert b"python_info" in gateway.got[0][3]


def test_deleting(gateway, base):
    asyncmetrics.delete_from_gateway(f"http://{base}/", "nightly", {"zone": ""})
    assert [found[:2] for found in gateway.got] == [("DELETE", "/metrics/job/nightly/zone@base64/=")]


def test_a_gateway_that_refuses_says_why(base, filled):
    with pytest.raises(PushError, match="400 Bad Request: pushed metrics are invalid") as raised:
        asyncmetrics.push_to_gateway(f"{base}/bad", "nightly", filled)
    assert isinstance(raised.value, OSError)
    assert raised.value.url == f"http://{base}/bad/metrics/job/nightly"


def test_a_gateway_that_is_not_there_is_named(filled):
    with pytest.raises(PushError, match="PUT http://127.0.0.1:1/metrics/job/nightly: .*refused"):
        asyncmetrics.push_to_gateway("127.0.0.1:1", "nightly", filled, timeout=PATIENCE_SECONDS)


def test_a_redirect_is_not_followed_unless_it_is_trusted(gateway, base, filled):
    with pytest.raises(PushError, match="307"):
        asyncmetrics.push_to_gateway(f"{base}/moved", "nightly", filled)
    asyncmetrics.push_to_gateway(f"{base}/moved", "nightly", filled, handler=pushgateway.passthrough_redirect_handler)
    command, path, headers, body = gateway.got[-1]
    assert (command, path, body) == ("PUT", "/metrics/job/there", asyncmetrics.generate_latest(filled))
    assert headers["Content-Type"].startswith("text/plain")


ANSWERS = {
    "no answer": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a status of many digits": b"HTTP/1.1 " + b"2" * 5000 + b" OK\r\n\r\n",
    "a line without end": b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000 + b"\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"A: x\r\n" * 5000 + b"\r\n",
    "a long reason": b"HTTP/1.1 500 " + b"x" * 60_000 + b"\r\n\r\n",
    "a long refusal": b"HTTP/1.1 500 Oh\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000,
    "a refusal that ends early": b"HTTP/1.1 500 Oh\r\nContent-Length: 400\r\n\r\nxx",
    "a refusal in bad chunks": b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n",
    "a length of many digits": b"HTTP/1.1 500 Oh\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "a redirect to no URL": b"HTTP/1.1 307 There\r\nLocation: http://[\r\n\r\n",
    "a redirect to no port": b"HTTP/1.1 307 There\r\nLocation: http://127.0.0.1:x/\r\n\r\n",
}


@pytest.fixture
def answering():
    """Listen for one request and answer these bytes: ``base = answering(b"…")``."""
    threads = []

    def answering(answer: bytes) -> str:
        listening = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            with listening, listening.accept()[0] as client, client.makefile("rwb") as file:
                length = 0
                while line := file.readline().strip():
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                file.read(length)
                try:
                    file.write(answer)
                    file.flush()
                except OSError:  # what is too long is not read to its end
                    pass

        threads.append(threading.Thread(target=serve, daemon=True))
        threads[-1].start()
        return f"127.0.0.1:{listening.getsockname()[1]}"

    yield answering
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_odd_answer_is_a_push_error_of_few_words(answer, answering, filled):
    handler = pushgateway.passthrough_redirect_handler
    with pytest.raises(PushError) as raised:
        asyncmetrics.push_to_gateway(answering(answer), "nightly", filled, handler=handler)
    assert len(str(raised.value)) < 2500


@pytest.mark.parametrize(("password", "expected"), [("secret", "Basic bWU6c2VjcmV0"), (None, None)])
def test_basic_credentials(password, expected, gateway, base, filled):
    def handler(url, method, timeout, headers, data):
        return pushgateway.basic_auth_handler(url, method, timeout, headers, data, "me", password)

    asyncmetrics.push_to_gateway(base, "nightly", filled, handler=handler)
    assert gateway.got[0][2].get("Authorization") == expected


@pytest.fixture
def authority(tmp_path):
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    client = made.issue_cert("client@example.org")
    client.private_key_pem.write_to_path(str(tmp_path / "client.key"))
    client.cert_chain_pems[0].write_to_path(str(tmp_path / "client.pem"))
    return made


@pytest.mark.parametrize(("trusted", "skip"), [(True, False), (False, True), (False, False)])
def test_certificates_of_both_sides(trusted, skip, authority, gateway, filled, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    gateway.socket = context.wrap_socket(gateway.socket, server_side=True)

    def handler(url, method, timeout, headers, data):
        files = [str(tmp_path / name) for name in ("client.pem", "client.key", "ca.pem")]
        return pushgateway.tls_auth_handler(
            url, method, timeout, headers, data, *files[: 3 if trusted else 2], insecure_skip_verify=skip
        )

    push = lambda: asyncmetrics.push_to_gateway(  # noqa: E731
        f"https://127.0.0.1:{gateway.server_port}", "nightly", filled, handler=handler, timeout=PATIENCE_SECONDS
    )
    if trusted or skip:
        push()
        assert gateway.got[0][3] == asyncmetrics.generate_latest(filled)
    else:
        with pytest.raises(PushError, match="certificate"):
            push()


def test_the_instance_of_a_grouping_key_is_an_address():
    assert ipaddress.ip_address(asyncmetrics.instance_ip_grouping_key()["instance"]).version == 4
