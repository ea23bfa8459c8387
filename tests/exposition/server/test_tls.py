"""TLS on the own port: certificates, clients' certificates, and what cannot be loaded."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from asyncmetrics.errors import DefinitionError
from asyncmetrics.exposition import start_http_server
from tests.patience import PATIENCE_SECONDS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def files(authority, tmp_path_factory) -> dict[str, str]:
    """Paths of the server's certificate and key, and of the authority's certificate."""
    folder = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("localhost", "127.0.0.1")
    paths = {name: str(folder / f"{name}.pem") for name in ("cert", "key", "both", "ca")}
    issued.cert_chain_pems[0].write_to_path(paths["cert"])
    issued.private_key_pem.write_to_path(paths["key"])
    issued.private_key_and_cert_chain_pem.write_to_path(paths["both"])
    authority.cert_pem.write_to_path(paths["ca"])
    return paths


@pytest.fixture
def trusting(authority) -> ssl.SSLContext:
    """A client's context that trusts the authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def _get(server, context: ssl.SSLContext) -> httpx.Response:
    return httpx.get(f"https://127.0.0.1:{server.port}/metrics", verify=context)


def test_it_serves_over_tls(registry, files, trusting):
    with start_http_server(0, registry=registry, certfile=files["cert"], keyfile=files["key"]) as server:
        assert _get(server, trusting).status_code == 200


def test_one_file_may_hold_certificate_and_key(registry, files, trusting):
    with start_http_server(0, registry=registry, certfile=files["both"]) as server:
        assert _get(server, trusting).status_code == 200


def test_a_large_exposition_arrives_whole(paged, files, trusting):
    registry, _ = paged(20)
    with start_http_server(0, registry=registry, certfile=files["both"], disable_compression=True) as server:
        assert _get(server, trusting).text.count("\npage_") == 40_000


def test_clients_without_a_certificate_are_refused_where_one_is_required(registry, files, trusting):
    options = {"certfile": files["both"], "client_cafile": files["ca"], "client_auth_required": True}
    with start_http_server(0, registry=registry, **options) as server, pytest.raises(httpx.HTTPError):
        _get(server, trusting)


def test_a_refused_client_learns_why(registry, files, trusting):
    """The alert of RFC 8446, section 6.2, arrives before the connection is closed."""
    trustme.CA().issue_cert("stranger").configure_cert(trusting)
    with (
        start_http_server(0, registry=registry, certfile=files["both"], client_cafile=files["ca"]) as server,
        pytest.raises(httpx.HTTPError, match="(?i)alert.unknown.ca|decrypt.error"),
    ):
        _get(server, trusting)


def test_clients_with_a_certificate_are_served_where_one_is_required(registry, files, trusting, authority):
    authority.issue_cert("prometheus").configure_cert(trusting)
    options = {"certfile": files["both"], "client_cafile": files["ca"], "client_auth_required": True}
    with start_http_server(0, registry=registry, **options) as server:
        assert _get(server, trusting).status_code == 200


def test_a_certificate_is_checked_but_not_required_when_only_the_authority_is_given(registry, files, trusting):
    with start_http_server(0, registry=registry, certfile=files["both"], client_cafile=files["ca"]) as server:
        assert _get(server, trusting).status_code == 200
        trustme.CA().issue_cert("stranger").configure_cert(trusting)
        with pytest.raises(httpx.HTTPError):
            _get(server, trusting)


def test_old_versions_can_be_refused(registry, files, trusting):
    trusting.maximum_version = ssl.TLSVersion.TLSv1_2
    options = {"certfile": files["both"], "tls_min_version": ssl.TLSVersion.TLSv1_3}
    with start_http_server(0, registry=registry, **options) as server, pytest.raises(httpx.ConnectError):
        _get(server, trusting)


def test_new_versions_can_be_refused(registry, files, trusting):
    options = {"certfile": files["both"], "tls_max_version": ssl.TLSVersion.TLSv1_2}
    with start_http_server(0, registry=registry, **options) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as plain:
            with trusting.wrap_socket(plain, server_hostname="localhost") as client:
                assert client.version() == "TLSv1.2"


def test_a_client_that_speaks_plain_http_is_disconnected(registry, files, trusting):
    with start_http_server(0, registry=registry, certfile=files["both"]) as server:
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{server.port}/metrics")
        assert _get(server, trusting).status_code == 200


def test_a_client_that_never_shakes_hands_is_disconnected(registry, files):
    with start_http_server(0, registry=registry, certfile=files["both"], timeout_seconds=0.3) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_SECONDS) as client:
            try:
                assert client.recv(100) == b""
            except ConnectionResetError:
                pass


def test_a_handshake_counts_as_a_connection(registry, files, trusting):
    """Otherwise many that never finish it would take all file descriptors: a new connection displaces it."""
    with start_http_server(0, registry=registry, certfile=files["both"], max_connections=1) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_SECONDS) as silent:
            while True:  # the silent one may still be about to begin its handshake
                with suppress(httpx.HTTPError):
                    assert _get(server, trusting).status_code == 200
                    break
            try:
                assert silent.recv(1) == b""
            except ConnectionResetError:
                pass


def test_stopping_waits_for_no_handshake(registry, files):
    timeout = 10 * PATIENCE_SECONDS
    server = start_http_server(0, registry=registry, certfile=files["both"], timeout_seconds=timeout)
    with socket.create_connection(("127.0.0.1", server.port)):
        time.sleep(0.1)
        begin = time.monotonic()
        server.close()
    assert time.monotonic() - begin < PATIENCE_SECONDS


def _serial(server, context: ssl.SSLContext) -> str:
    """The number of the certificate that a new connection gets."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_SECONDS) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as client:
            return client.getpeercert()["serialNumber"]


@pytest.fixture
def issue(authority, tmp_path):
    """Write a new certificate with its key into one file: ``issue()``, which returns the path."""

    def issue() -> str:
        issued = authority.issue_cert("localhost", "127.0.0.1")
        fresh = tmp_path / "fresh.pem"
        fresh.unlink(missing_ok=True)
        issued.private_key_and_cert_chain_pem.write_to_path(str(fresh))
        fresh.replace(tmp_path / "served.pem")
        return str(tmp_path / "served.pem")

    return issue


def test_a_certificate_that_changes_is_served_to_the_connections_that_come_later(registry, issue, trusting):
    with start_http_server(0, registry=registry, certfile=issue()) as server:
        before = _serial(server, trusting)
        issue()
        assert _serial(server, trusting) != before


def test_a_client_that_says_no_goodbye_is_no_error(registry, files, trusting):
    with start_http_server(0, registry=registry, certfile=files["both"]) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_SECONDS) as plain:
            client = trusting.wrap_socket(plain, server_hostname="localhost")
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            client.recv(10_000)
            client.close()
    assert registry.get_sample_value("asyncmetrics_internal_errors_total", {"where": "exposition.server"}) is None


def test_an_encrypted_key_is_refused_without_asking_for_a_password(registry, files, tmp_path):
    encrypted = tmp_path / "encrypted.pem"
    key = load_pem_private_key(Path(files["key"]).read_bytes(), None)
    form = BestAvailableEncryption(b"secret")
    encrypted.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, form))
    with pytest.raises(OSError, match="cannot load the certificate .* the key is encrypted"):
        start_http_server(0, registry=registry, certfile=files["cert"], keyfile=str(encrypted))


def test_a_connection_outlives_a_change_of_the_certificate(registry, issue, trusting):
    with start_http_server(0, registry=registry, certfile=issue()) as server:
        with httpx.Client(verify=trusting, timeout=PATIENCE_SECONDS) as client:
            assert client.get(f"https://127.0.0.1:{server.port}/").status_code == 200
            issue()
            assert client.get(f"https://127.0.0.1:{server.port}/").status_code == 200


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nno\n"], ids=["gone", "empty", "torn"])
def test_a_certificate_that_cannot_be_loaded_leaves_the_last_good_one_in_use(
    registry, issue, trusting, content, caplog
):
    """It is logged and counted, and the next good one is taken."""
    path = issue()
    with start_http_server(0, registry=registry, certfile=path) as server:
        before = _serial(server, trusting)
        Path(path).unlink()
        if content is not None:
            Path(path).write_bytes(content)
        assert _serial(server, trusting) == before
        issue()
        while _serial(server, trusting) == before:  # the files are tried once a second
            time.sleep(0.05)
    assert "internal errors in exposition.certificates" in caplog.text


def test_an_authority_that_changes_is_what_clients_are_checked_against(registry, files, trusting, authority, tmp_path):
    stranger = trustme.CA()
    checked = tmp_path / "authority.pem"
    stranger.cert_pem.write_to_path(str(checked))
    authority.issue_cert("prometheus").configure_cert(trusting)
    options = {"certfile": files["both"], "client_cafile": str(checked), "client_auth_required": True}
    with start_http_server(0, registry=registry, **options) as server:
        with pytest.raises(httpx.HTTPError):
            _get(server, trusting)
        checked.unlink()
        authority.cert_pem.write_to_path(str(checked))
        assert _get(server, trusting).status_code == 200


def test_a_missing_certificate_is_named(registry, files):
    with pytest.raises(FileNotFoundError, match="cannot load the certificate '/nowhere.pem' with the key None"):
        start_http_server(0, registry=registry, certfile="/nowhere.pem")


def test_a_key_that_does_not_fit_is_an_error(registry, files):
    with pytest.raises(OSError, match="cannot load the certificate"):
        start_http_server(0, registry=registry, certfile=files["ca"], keyfile=files["key"])


def test_a_missing_authority_is_named(registry, files):
    with pytest.raises(OSError, match="cannot load the clients' authority '/nowhere.pem' or None"):
        start_http_server(0, registry=registry, certfile=files["both"], client_cafile="/nowhere.pem")


@pytest.mark.parametrize(
    "options", [{"keyfile": "key"}, {"client_cafile": "ca"}, {"client_capath": "ca"}, {"client_auth_required": True}]
)
def test_half_of_the_tls_options_is_refused_rather_than_served_in_the_clear(registry, options):
    with pytest.raises(DefinitionError, match="no certfile"):
        start_http_server(0, registry=registry, **options)
