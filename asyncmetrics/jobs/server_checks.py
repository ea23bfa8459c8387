"""Ready-made checks of servers: `http_check` and `tcp_check`, for `HealthChecks.add`."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, final
from urllib.parse import SplitResult, quote, urlsplit

import h11
from anyio import EndOfStream, connect_tcp
from anyio.abc import ByteStream

from asyncmetrics.asking import is_async_function
from asyncmetrics.errors import DefinitionError
from asyncmetrics.jobs.check_calls import Check
from asyncmetrics.model.checks import check_mapping, check_text, make_refusal

__all__ = ("http_check", "tcp_check")

_PORTS = {"http": 80, "https": 443}
_QUOTED = "/:?#[]@!$&'()*+,;=%~"  # what a URL may have as it is: RFC 3986, section 2.2
_CHUNK_BYTES = 65_536


class _HttpClient(Protocol):
    """A client of httpx, sync or async, or a session of requests."""

    def get(self, url: Any, /) -> Any: ...


def tcp_check(host: str, port: int) -> Callable[[], Awaitable[None]]:
    """Return a check that connects to ``port`` of ``host``, and closes the connection.

    Raises `DefinitionError` for a wrong value of an argument.
    """
    if not isinstance(host, str) or not host:
        raise make_refusal("host", "a str that is not empty", host)
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65_536:
        raise make_refusal("port", "an int from 1 to 65535", port)

    async def check_tcp() -> None:
        async with await connect_tcp(host, port):
            pass

    return check_tcp


def http_check(
    url: str,
    *,
    client: _HttpClient | None = None,
    headers: Mapping[str, str] | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> Check:
    """Return a check that requests ``url`` by GET, and fails unless the status of the answer is below 400.

    It follows no redirect, and does not read the body. Each call opens a connection of its own, on asyncio and on trio.

    - ``client``: a client of httpx or a session of requests that sends the request instead, with its own connections,
      authentication and proxies; ``url`` may be relative to its ``base_url``.
    - ``headers``: headers of the request, such as ``{"Authorization": "Bearer …"}``.
    - ``ssl_context``: for a server whose certificate the system does not trust.

    Raises `DefinitionError` for a wrong value of an argument.
    """
    check_text("url", url, "http://127.0.0.1:8000/ready")
    _check_headers(headers or {})
    if ssl_context is not None and not isinstance(ssl_context, ssl.SSLContext):
        raise make_refusal("ssl_context", "an ssl.SSLContext or None", ssl_context)
    if client is not None:
        if headers or ssl_context:
            raise DefinitionError("client", "expected no headers= and no ssl_context= with it: the client has its own")
        return _make_client_check(client, url)
    return _Get(url, headers or {}, ssl_context)


def _make_client_check(client: _HttpClient, url: str) -> Check:
    get = getattr(client, "get", None)
    if get is None:
        raise make_refusal("client", "a client of httpx or a session of requests", client)

    async def check_http() -> None:
        _check_status(url, (await get(url)).status_code)

    def check_http_in_thread() -> None:
        _check_status(url, get(url).status_code)

    return check_http if is_async_function(get) else check_http_in_thread


def _check_status(url: str, status: int) -> None:
    if status >= 400:
        # Without the query, which may have a key: the text is logged.
        raise ConnectionError(f"GET {url.partition('?')[0]}: expected a status below 400, got {status}")


@final
class _Get:
    """A check: each call sends one request over a connection of its own."""

    def __init__(self, url: str, headers: Mapping[str, str], context: ssl.SSLContext | None) -> None:
        parts, port = _split(url)
        self._url = url
        self._host, self._port = parts.hostname or "", port or _PORTS[parts.scheme]
        self._tls = None
        if parts.scheme == "https":  # made here, and not by a call: it reads files, for 20 ms
            self._tls = context or ssl.create_default_context()
        host = _write_host(self._host, url)
        sent = {
            "Host": host if port is None or port == _PORTS[parts.scheme] else f"{host}:{port}",
            "User-Agent": "asyncmetrics",
            "Accept": "*/*",
            "Connection": "close",
        }
        names = {name.lower() for name in headers}
        every = [(name, value) for name, value in sent.items() if name.lower() not in names] + list(headers.items())
        target = quote(parts.path or "/", safe=_QUOTED) + (
            f"?{quote(parts.query, safe=_QUOTED)}" if parts.query else ""
        )
        self._request = h11.Request(method="GET", target=target, headers=every)

    async def __call__(self) -> None:
        if self._tls is None:
            stream: ByteStream = await connect_tcp(self._host, self._port)
        else:
            # Without the closing handshake, for which a server might let the check wait.
            stream = await connect_tcp(
                self._host, self._port, tls=True, ssl_context=self._tls, tls_standard_compatible=False
            )
        async with stream:
            connection = h11.Connection(h11.CLIENT)
            await stream.send((connection.send(self._request) or b"") + (connection.send(h11.EndOfMessage()) or b""))
            _check_status(self._url, await _read_status(connection, stream))


async def _read_status(connection: h11.Connection, stream: ByteStream) -> int:
    try:
        while True:
            event = connection.next_event()  # perhaps an InformationalResponse, which comes before the answer
            if isinstance(event, h11.Response):
                return event.status_code
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive(_CHUNK_BYTES))
    except EndOfStream as error:
        raise ConnectionError("the server closed the connection without an answer") from error
    except h11.RemoteProtocolError as error:
        raise ConnectionError(f"the answer is no HTTP: {error}") from error


def _check_headers(headers: Mapping[str, str]) -> None:
    """Raise `DefinitionError` for a header that HTTP does not allow. The message has no value, which may be secret."""
    check_mapping("headers", headers, "names to texts")
    for name, value in headers.items():
        try:
            h11.Request(method="GET", target="/", headers=[(name, value)], http_version="1.0")
        except (h11.LocalProtocolError, TypeError, AttributeError, UnicodeError):
            raise make_refusal(
                "headers", "names and texts that HTTP allows", name, "write another name or text for this header"
            ) from None


def _write_host(host: str, url: str) -> str:
    if ":" in host:
        return f"[{host}]"
    try:
        return host.encode("idna").decode()
    except UnicodeError as error:
        raise make_refusal("url", "a URL with a valid host", url, str(error)) from error


def _split(url: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise make_refusal("url", "a URL of http or https", url, str(error)) from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise make_refusal("url", "a URL of http or https, such as 'http://127.0.0.1:8000/ready'", url)
    if parts.username is not None or parts.password is not None:
        raise DefinitionError("url", "expected no user and no password in it: write headers={'Authorization': …}")
    return parts, port
