"""Which requests are for the live page, and the responses to them, decided without any I/O but `load_pages`.

*Rules.*

1. Serve the same bytes to every client: the page has no data, so a client without credentials learns nothing from it.
2. Serve it on no path that begins with two slashes: a script that reads its own path as a URL would take the first
   segment of ``//other.example/live`` for another host.
"""

from __future__ import annotations

import zlib
from functools import cache

from asyncmetrics.exposition.live.page import load_page
from asyncmetrics.exposition.response import Headers, Request, Response, refuse_method
from asyncmetrics.formats.negotiation import is_gzip_accepted

__all__ = ("LIVE_SUFFIX", "is_for_live_page", "load_pages", "respond_with_page")

LIVE_SUFFIX = "/live"
"""What the path of the page has after the path of the metrics."""

_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # zlib's way of asking for gzip's header and trailer
_VARY = (b"vary", b"Accept-Encoding")


def is_for_live_page(path: str) -> bool:
    """Return whether a request with this path is for the page, with or without a slash at the end."""
    return path.rstrip("/").endswith(LIVE_SUFFIX) and not path.startswith("//")


@cache
def load_pages() -> tuple[Response, Response]:
    """Return the page as it is, and compressed. The first call reads files, so call it in a thread."""
    page = load_page()
    headers = (*page.headers, _VARY)
    stream = zlib.compressobj(wbits=_GZIP_WINDOW)
    compressed = stream.compress(page.body) + stream.flush()
    gzip_headers = (*headers, (b"content-encoding", b"gzip"))
    return _make_response(headers, page.body), _make_response(gzip_headers, compressed)


def respond_with_page(request: Request, pages: tuple[Response, Response], *, compression: bool) -> Response:
    """Return the response to a ``request`` for the page: one of ``pages`` to GET and HEAD, else a 405."""
    if request.method not in {"GET", "HEAD"}:
        return refuse_method(request)
    response = pages[compression and is_gzip_accepted(request.get_header(b"accept-encoding"))]
    return Response(200, response.headers) if request.method == "HEAD" else response


def _make_response(headers: Headers, body: bytes) -> Response:
    return Response(200, (*headers, (b"content-length", b"%d" % len(body))), body)
