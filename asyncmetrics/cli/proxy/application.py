"""Serve the live page and the metrics of one other server to the browser of this computer, and to nothing else.

*Rules.* Other programs that reach this server: pages of other sites in the same browser, other users of the computer.

1. Answer only if Host is this server's own (a site that has its name rebound to 127.0.0.1 sends its own Host), and if
   no header says that another site has made the browser send the request.
2. Answer 404 at every path that does not begin with the secret token.
3. Pass nothing of a request on but values of ``name[]``, parsed and written again. Write nothing of a request, and no
   header of the other server, into a response. The page shows the address of the other server, and not its own, whose
   path has the token.
4. Send every response with headers that keep it from being cached, embedded, or taken for something else than it says.

*Theory of operation.* A request passes the rules in this order. Then it gets the page, or the body of a new answer of
the other server. A failure of the other server is a 502 with one sentence, and the next request starts afresh.
"""

from __future__ import annotations

from dataclasses import replace
from hmac import compare_digest
from typing import final
from urllib.parse import parse_qsl

from anyio import to_thread

from asyncmetrics.cli.proxy.upstream import Upstream
from asyncmetrics.errors import ScrapeError
from asyncmetrics.exposition.live.serving import load_pages, respond_with_page
from asyncmetrics.exposition.response import (
    MAX_FILTER_LENGTH,
    MAX_FILTERS,
    Headers,
    Request,
    Response,
    refuse_busy,
    refuse_method,
)
from asyncmetrics.typing import Receive, Scope, Send

__all__ = ("LiveProxy",)

# The tabs of one user; each answer may hold 64 MiB.
_MAX_CONCURRENT = 4
_CHUNK_BYTES = 256 * 1024
_ADDRESS_HEADER = b"asyncmetrics-source"  # as in exposition/live/assets/source.js
_HTTP_PORT = 80  # which browsers leave out of Host
_OWN_SITES = {None, "same-origin", "none"}  # "none": the user has opened the URL

_PROTECTION: Headers = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)


@final
class LiveProxy:
    """The ASGI application: the page at ``/<token>/live``, and the metrics of ``upstream`` at ``/<token>``."""

    def __init__(self, upstream: Upstream, token: str, port: int) -> None:
        self._upstream = upstream
        self._token = token.encode("ascii")
        names = ("127.0.0.1", "localhost")
        self._hosts = {f"{name}:{port}" for name in names} | (set(names) if port == _HTTP_PORT else set())
        self._active = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI 3.0 specifies."""
        del receive
        headers = scope["headers"]
        request = Request(scope["method"], scope["raw_path"].decode("latin-1"), scope["query_string"], headers)
        response = await self._respond(request)
        own = {name for name, _ in response.headers}
        protection = [pair for pair in _PROTECTION if pair[0] not in own]
        await send(
            {"type": "http.response.start", "status": response.status, "headers": [*response.headers, *protection]}
        )
        body = b"" if request.method == "HEAD" else response.text
        for start in range(0, len(body), _CHUNK_BYTES):
            chunk = body[start : start + _CHUNK_BYTES]
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body"})

    async def _respond(self, request: Request) -> Response:
        host = request.get_header(b"host")
        if host not in self._hosts:
            return _refuse(403, "This server has another name: open the URL that asyncmetrics live has printed.")
        if _is_of_another_site(request, f"http://{host}"):
            return _refuse(403, "Another site has sent this request: type or paste the URL into the address bar.")
        if request.method not in {"GET", "HEAD"}:
            return refuse_method(request)
        match request.path.split("/"):
            case ["", token, *rest] if compare_digest(token.encode("latin-1"), self._token):
                return await self._respond_to_owner(request, rest)
        return _refuse(404, "There is nothing here.")

    async def _respond_to_owner(self, request: Request, rest: list[str]) -> Response:
        """Return the response to a request with the token, after which its path has the segments ``rest``."""
        match rest:
            case [] | [""]:
                response = await self._serve_metrics(request)
                return replace(response, headers=(*response.headers, (_ADDRESS_HEADER, self._upstream.address)))
            case ["live"] | ["live", ""]:
                return respond_with_page(request, await to_thread.run_sync(load_pages), compression=False)
        return _refuse(404, "There is nothing here.")

    async def _serve_metrics(self, request: Request) -> Response:
        names = _read_names(request.query)
        if names is None:
            return _refuse(400, "Only name[] may be in the query.")
        if self._active >= _MAX_CONCURRENT:
            return refuse_busy(_MAX_CONCURRENT)
        self._active += 1
        try:
            answer = await self._upstream.fetch(names)
        except ScrapeError as error:
            return _refuse(502, f"The metrics cannot be read: {error.problem}.")
        finally:
            self._active -= 1
        length = b"%d" % len(answer.body)
        headers = ((b"content-type", answer.content_type.encode("ascii")), (b"content-length", length))
        return Response(200, headers, answer.body)


def _is_of_another_site(request: Request, own: str) -> bool:
    """Return whether a browser says that another origin than ``own`` has caused the request (Fetch Metadata)."""
    if request.get_header(b"origin") not in {None, own}:
        return True
    return request.get_header(b"sec-fetch-site") not in _OWN_SITES


def _read_names(query: bytes) -> list[str] | None:
    """Return the values of ``name[]``, or None if there is something else, or too much of it."""
    try:
        pairs = parse_qsl(query.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_FILTERS)
    except ValueError:  # too many of them
        return None
    if any(key != "name[]" or len(value) > MAX_FILTER_LENGTH for key, value in pairs):
        return None
    return [value for _, value in pairs]


def _refuse(status: int, problem: str) -> Response:
    text = f"{problem}\n".encode()
    headers = ((b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(text)))
    return Response(status, headers, text)
