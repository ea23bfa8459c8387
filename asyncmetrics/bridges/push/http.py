"""`HttpSink`: a sink whose parts are requests over HTTP, sent by httpx.

*Rules.*

1. Follow no redirect: the credentials must not reach another server. The error says where it leads to.
2. Bound what is read of a response, and the time of the whole request: a server may send a byte now and then.
3. Use a connection on the loop and in the process that has opened it, and nowhere else.

The requests go through httpx's transport and not through its client, which logs a line for each of them. Proxies are
those of the environment, as the standard library reads it.
"""

from __future__ import annotations

import importlib
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from time import time
from typing import Any, ClassVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from asyncmetrics.bridges.explaining import explain_cause
from asyncmetrics.bridges.push.http_options import (
    Credentials,
    Tls,
    check_headers,
    check_url,
    make_authorization,
    make_tls,
)
from asyncmetrics.bridges.push.sink import Sink
from asyncmetrics.errors import MissingExtraError, PushError
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.loops import HomeLoop, find_home
from asyncmetrics.model.checks import check_mapping, check_seconds
from asyncmetrics.model.names import check_label_names
from asyncmetrics.pacing import preload_asyncio_backend

__all__ = ("Credentials", "HttpSink")

_LATE_MODULES = ("httpcore", "httpcore._backends.anyio", "httpcore._backends.auto", "encodings.idna")
_SHOWN_BYTES = 500
_MOST_BYTES = 1 << 20  # of a response: those of OTLP and remote write have a few bytes
_CONNECTIONS = 2  # one is in use, and one may be closing

_IDLE_SECONDS = 90.0  # a connection is used again at the next push


class HttpSink(Sink):
    """What sinks over HTTP share.

    - ``url``: where the requests go.
    - ``headers``: more headers of each request.
    - ``auth``: a bearer token, or a ``(user, password)``.
    - ``tls``: the ``ssl.SSLContext`` of ``https`` URLs, or the path of a file of certificates (PEM) that are trusted in
      addition; by default, what the system trusts.
    - ``timeout``: seconds for each request as a whole.
    - ``labels``: labels that are added to each series.

    Raises `DefinitionError` for a wrong value of an argument, and `MissingExtraError` without httpx.
    """

    method: ClassVar[str] = "POST"

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        auth: Credentials | None = None,
        tls: Tls | None = None,
        timeout: float = 10.0,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        check_url("url", url)
        check_headers("headers", headers or {})
        check_seconds("timeout", timeout)
        check_mapping("labels", labels or {}, "label names to text")
        check_label_names("labels", labels or {})
        self.url = url
        self.labels = {name: str(value) for name, value in (labels or {}).items()}
        self._timeout = timeout
        self._tls = make_tls("tls", tls)
        self._headers = {**(headers or {}), **make_authorization("auth", auth)}
        self._httpx = _import_httpx()
        self._transport: Any = None
        self._home: HomeLoop | None = None

    async def request(
        self, data: bytes | Sequence[bytes], headers: Mapping[str, str], *, method: str | None = None
    ) -> Any:
        """Send one request and return the response of httpx, whose body was read. ``method`` is `method` by default.

        ``data`` may be in pieces: they are sent one by one, as a large body in one piece holds the loop.

        Raises `PushError` if no response comes or its status is no success.
        """
        import anyio

        method = method or self.method
        try:
            with anyio.fail_after(self._timeout):
                response = await self._exchange(method, data, {**self._headers, **headers})
        except TimeoutError as error:
            problem = f"no whole answer came within {self._timeout:g} s"
            raise PushError(method, self.url, problem) from error
        except (self._httpx.HTTPError, self._httpx.InvalidURL, OSError) as error:
            pass_interruption(error)
            raise PushError(method, self.url, explain_cause(error)) from error
        if not response.is_success:
            raise self.make_refusal(response)
        return response

    def make_refusal(self, response: Any) -> PushError:
        """Return the error for a response of httpx whose status is no success."""
        status: int = response.status_code
        location = response.headers.get("Location", "")
        text = response.content[:_SHOWN_BYTES].decode("utf-8", "replace").strip()
        if 300 <= status < 400 and location:
            text = f"it redirects to {location}: use that URL if it is the right one"
        problem = f"the answer was {status} {response.reason_phrase}{text and f': {text}'}"
        is_permanent = not (status in {408, 425, 429} or status >= 500)
        after, method = _read_retry_after(response), response.request.method
        return PushError(method, self.url, problem, is_permanent=is_permanent, retry_after=after, status=status)

    async def _exchange(self, method: str, data: bytes | Sequence[bytes], headers: Mapping[str, str]) -> Any:
        httpx = self._httpx
        content: bytes | AsyncIterator[bytes]
        transport = await self._get_transport()
        timeout = httpx.Timeout(self._timeout).as_dict()
        if isinstance(data, bytes):
            content, size = data, {}
        else:
            content, size = _iterate(data), {"Content-Length": str(sum(map(len, data)))}
        request = httpx.Request(
            method,
            self.url,
            content=content,
            headers={"Accept-Encoding": "identity", "User-Agent": "asyncmetrics", **size, **headers},
            extensions={"timeout": timeout},
        )
        response = await transport.handle_async_request(request)
        body = b""
        try:
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > _MOST_BYTES:
                    break
        finally:
            await response.aclose()
        kept = [
            (name, value)
            for name, value in response.headers.items()
            if name not in {"content-encoding", "content-length", "transfer-encoding"}
        ]
        return httpx.Response(response.status_code, headers=kept, content=body[:_MOST_BYTES], request=request)

    async def _get_transport(self) -> Any:
        """Return the transport of the running loop; that of another loop or process is left to it."""
        if self._transport is None or self._home is None or not self._is_home_here(self._home):
            from anyio import to_thread

            self._transport = None
            home = find_home()
            self._transport = await to_thread.run_sync(self._make_transport)
            self._home = home
        return self._transport

    def _make_transport(self) -> Any:
        """Return a transport; in a thread, as httpx's context takes 2 ms, and the system's certificates 20 ms."""
        if self._tls is None and self.url.startswith("https"):
            self._tls = ssl.create_default_context()
        return self._httpx.AsyncHTTPTransport(
            verify=self._tls or False,
            proxy=_find_proxy(self.url),
            limits=self._httpx.Limits(max_connections=_CONNECTIONS, keepalive_expiry=_IDLE_SECONDS),
        )

    @staticmethod
    def _is_home_here(home: HomeLoop) -> bool:
        return home.is_running_here() and not home.find_problem()

    async def close(self) -> None:
        """Close the connections."""
        transport, self._transport = self._transport, None
        if transport is not None and self._home is not None and self._is_home_here(self._home):
            await transport.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"


async def _iterate(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _find_proxy(url: str) -> str | None:
    """Return the proxy for a URL by the variables ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``."""
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.hostname or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _read_retry_after(response: Any) -> float | None:
    """Return the seconds of Retry-After (RFC 9110, section 10.2.3), a number or a date."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _import_httpx() -> Any:
    """Return the module, and import what it and asyncio would import at the first request.

    A process that is forked while another thread imports a module can never import it: it waits for that thread.
    """
    try:
        httpx = importlib.import_module("httpx")
    except ImportError as error:
        raise MissingExtraError("pushing over HTTP", "httpx", "push") from error
    preload_asyncio_backend()
    for name in _LATE_MODULES:
        with suppress(ImportError):
            importlib.import_module(name)
    return httpx
