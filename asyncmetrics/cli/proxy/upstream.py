"""Read the metrics of the one server that a live page shows, within bounds of time and size.

`asyncmetrics.bridges.scraping` reads a URL for a command that ends. Here a browser asks for as long as a page is open,
and the answers go to it, so the rules are stricter.

*Rules.*

1. Connect to the host of the URL only: follow no redirect, use no proxy of the environment.
2. Bound the time of a whole exchange, so that a server that drips its bytes holds a request for a bounded time. Bound
   the bytes that are received, and those that are decompressed from them.
3. Pass on the body and nothing else: no header of the server, and no word of it in an error, since a server may repeat
   the credentials that it was sent.
"""

from __future__ import annotations

import os
import ssl
import zlib
from collections.abc import Iterable
from http import HTTPStatus
from typing import NamedTuple, final
from urllib.parse import SplitResult, quote, urlencode, urlsplit

import h11
from anyio import BrokenResourceError, EndOfStream, connect_tcp, fail_after
from anyio.abc import ByteStream

from asyncmetrics.bridges.scraping import Target
from asyncmetrics.errors import ScrapeError
from asyncmetrics.formats.negotiation import (
    CONTENT_TYPE_OPENMETRICS,
    CONTENT_TYPE_PLAIN_0_0_4,
    CONTENT_TYPE_PLAIN_1_0_0,
)
from asyncmetrics.version import __version__

__all__ = ("MOST_BYTES", "Answer", "Upstream")

MOST_BYTES = 64 << 20
"""The longest exposition that is read: half a million series, far more than a page can show."""

_MAX_HEAD_BYTES = 64 * 1024
_READ_BYTES = 64 * 1024
# Version 1.0.0 has names as they are; the text formats come first, as they are the ones that most servers have.
_ACCEPT = (
    "text/plain;version=1.0.0;escaping=allow-utf-8,text/plain;version=0.0.4;q=0.9,"
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.1"
)
_REDIRECTS = range(300, 400)
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # zlib's way of asking for gzip's header and trailer
_SAFE_IN_PATH = "/%:@!$&'()*+,;=~-._"  # RFC 3986, section 3.3
_SAFE_IN_QUERY = _SAFE_IN_PATH + "?[]"


@final
class Answer(NamedTuple):
    """An exposition as it was sent, decompressed, and one of three Content-Types."""

    body: bytes
    content_type: str


@final
class Upstream:
    """The server of ``target``. Raises `ScrapeError` for a URL, headers or certificates that cannot be used."""

    def __init__(self, target: Target, most_bytes: int = MOST_BYTES) -> None:
        self._url = target.url
        self._timeout = target.timeout
        self._most_bytes = most_bytes
        self._parts, self._port = self._split_url()
        self._headers = self._make_headers(target)
        self._context = self._make_context(target) if self._parts.scheme == "https" else None
        self._make_request(())  # h11 checks the headers here, and not at the first request of a browser

    @property
    def address(self) -> bytes:
        """The URL in ASCII, without its query, which may be a credential."""
        return f"{self._parts.scheme}://{self._make_host()}{self._quote_path()}".encode("ascii")

    async def fetch(self, names: Iterable[str] = ()) -> Answer:
        """Return what the server exposes, or of the families with these ``names`` only, if the server can filter.

        Raises `ScrapeError`, whose problem has no text of the server.
        """
        connection, request = self._make_request(names)
        try:
            with fail_after(self._timeout):
                async with await self._connect() as stream:
                    await stream.send(request)
                    return await _Reading(self._url, connection, stream, self._most_bytes).read()
        except TimeoutError as error:
            raise self._make_error(f"there is no whole answer after {self._timeout:g} seconds") from error
        except h11.RemoteProtocolError as error:
            raise self._make_error("the answer is not HTTP/1.1, or is cut off") from error
        except zlib.error as error:
            raise self._make_error("the answer is not compressed as it says") from error
        except (BrokenResourceError, EndOfStream) as error:
            raise self._make_error("the server has broken off the connection") from error
        except OSError as error:
            if isinstance(error, ScrapeError):
                raise
            raise self._make_error(_explain(error)) from error

    async def _connect(self) -> ByteStream:
        host = self._parts.hostname or ""
        if self._context is None:
            return await connect_tcp(host, self._port)
        return await connect_tcp(
            host, self._port, tls=True, ssl_context=self._context, tls_standard_compatible=False, tls_hostname=host
        )

    def _split_url(self) -> tuple[SplitResult, int]:
        try:
            parts = urlsplit(self._url)
            default_port = {"http": 80, "https": 443}[parts.scheme]
            port = default_port if parts.port is None else parts.port
        except (ValueError, KeyError) as error:
            raise self._make_error("expected a URL such as http://127.0.0.1:8000/metrics") from error
        if not parts.hostname:
            raise self._make_error("expected a URL such as http://127.0.0.1:8000/metrics")
        if "@" in parts.netloc:
            raise self._make_error("expected a URL without a user and a password: send them as a header")
        return parts, port

    def _make_headers(self, target: Target) -> list[tuple[bytes, bytes]]:
        headers = {
            "host": self._make_host(),
            "accept": _ACCEPT,
            "accept-encoding": "gzip",
            "user-agent": f"asyncmetrics/{__version__}",
            **{name.lower(): value for name, value in target.headers.items()},
            "connection": "close",
        }
        return [(_encode(name), _encode(value)) for name, value in headers.items()]

    def _make_host(self) -> str:
        try:
            name = (self._parts.hostname or "").encode("idna").decode()
        except UnicodeError as error:
            raise self._make_error("the name of its host is not valid") from error
        host = f"[{name}]" if ":" in name else name
        return host if self._parts.port is None else f"{host}:{self._port}"

    def _quote_path(self) -> str:
        return quote(_encode(self._parts.path or "/"), _SAFE_IN_PATH)

    def _make_request(self, names: Iterable[str]) -> tuple[h11.Connection, bytes]:
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
        own = quote(_encode(self._parts.query), _SAFE_IN_QUERY)
        query = "&".join(filter(None, (own, urlencode([("name[]", name) for name in names]))))
        target = self._quote_path() + (f"?{query}" if query else "")
        try:
            request = h11.Request(method="GET", target=target, headers=self._headers)
            return connection, (connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b"")
        except h11.LocalProtocolError:
            # h11's own message would show the value, which may be a credential.
            raise self._make_error("a header or a credential for it cannot be sent over HTTP") from None

    def _make_context(self, target: Target) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if target.ca_file is not None:
            try:
                context.load_verify_locations(target.ca_file)
            except OSError as error:
                raise self._make_error(f"the certificates in {target.ca_file} cannot be used: {error}") from error
        return context

    def _make_error(self, problem: str) -> ScrapeError:
        return ScrapeError(self._url, problem)


@final
class _Reading:
    """The answer to one request, as it is being read."""

    def __init__(self, url: str, connection: h11.Connection, stream: ByteStream, most_bytes: int) -> None:
        self._url = url
        self._http = connection
        self._stream = stream
        self._left = self._received_left = most_bytes
        self._pieces: list[bytes] = []

    async def read(self) -> Answer:
        """Return the whole answer. Raises `ScrapeError`, and what h11, zlib and anyio raise."""
        event = await self._read_event()
        while isinstance(event, h11.InformationalResponse):
            event = await self._read_event()
        if not isinstance(event, h11.Response):
            raise self._make_error("there is no answer")
        headers = {name.decode("ascii"): value.decode("latin-1") for name, value in event.headers}
        self._check_status(event.status_code)
        content_type = self._choose_content_type(headers.get("content-type", ""))
        unzip = self._make_decompressor(headers.get("content-encoding", "identity"))
        while isinstance(event := await self._read_event(), h11.Data):
            self._add(event.data, unzip)
        if unzip is not None and not unzip.eof:
            raise self._make_error("the answer is cut off")
        body = b"".join(self._pieces)
        if body.lstrip().startswith(b"<"):  # no line of an exposition does
            raise self._make_error("the answer is a page of HTML; expected the URL of metrics, such as …/metrics")
        return Answer(body, content_type)

    async def _read_event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            try:
                data = await self._stream.receive(_READ_BYTES)
            except EndOfStream:
                data = b""
            self._http.receive_data(data)
        return event

    def _check_status(self, status: int) -> None:
        if status in _REDIRECTS:
            raise self._make_error(f"it redirects ({status}), which is not followed; expected the URL of the metrics")
        if status != HTTPStatus.OK:
            raise self._make_error(f"the answer is {status} {_PHRASES.get(status, '')}".rstrip())

    def _choose_content_type(self, value: str) -> str:
        kind = value.partition(";")[0].strip().lower()
        if kind == "application/openmetrics-text":
            return CONTENT_TYPE_OPENMETRICS
        if kind and not kind.startswith("text/"):
            raise self._make_error("the answer is no text: its Content-Type is another one")
        return CONTENT_TYPE_PLAIN_1_0_0 if "version=1.0.0" in value else CONTENT_TYPE_PLAIN_0_0_4

    def _make_decompressor(self, encoding: str) -> zlib._Decompress | None:
        match encoding.strip().lower():
            case "identity" | "":
                return None
            case "gzip" | "x-gzip":
                return zlib.decompressobj(_GZIP_WINDOW)
        raise self._make_error("the answer is compressed in another way than gzip")

    def _add(self, data: bytes, unzip: zlib._Decompress | None) -> None:
        self._received_left -= len(data)
        if unzip is not None:
            # One byte more than there may be, so that what is too long is seen.
            data = b"" if unzip.eof else unzip.decompress(data, self._left + 1)
        self._left -= len(data)
        if self._left < 0 or self._received_left < 0:
            raise self._make_error("the answer is too long for a page")
        self._pieces.append(data)

    def _make_error(self, problem: str) -> ScrapeError:
        return ScrapeError(self._url, problem)


def _encode(text: str) -> bytes:
    """Return the bytes of an argument of the process, which need not be UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def _explain(error: OSError) -> str:
    """Return why there is no connection: anyio raises a general error from those of the attempts."""
    causes = getattr(error.__cause__, "exceptions", (error.__cause__,))
    cause = next((one for one in causes if isinstance(one, OSError)), error)
    if cause.errno and type(cause).__module__ == "builtins":  # asyncio writes messages of its own into these
        return os.strerror(cause.errno)
    return cause.strerror or str(cause) or type(cause).__name__
