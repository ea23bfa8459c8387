"""What is answered to a request, decided without any I/O: the status, the headers, and what is to be rendered.

*Rules.* Nothing in a request raises or leads to a 5xx: bytes are decoded with replacement, filters are bounded, and no
part of the request is written into the answer. Every answer has a Content-Type, since Prometheus 3 drops a target
without a valid one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias, final
from urllib.parse import parse_qsl

from asyncmetrics.exposition.rendering import Rendering
from asyncmetrics.formats.negotiation import is_gzip_accepted, negotiate

__all__ = (
    "MAX_FILTERS",
    "MAX_FILTER_LENGTH",
    "Headers",
    "Request",
    "Response",
    "busy",
    "denied",
    "failure",
    "respond",
)

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

MAX_FILTERS = 256
MAX_FILTER_LENGTH = 1024
_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_VARY = (b"vary", b"Accept, Accept-Encoding")

_SECONDS: Callable[[str], object] = re.compile(r"[0-9]{1,4}(\.[0-9]{1,9})?").fullmatch
_DEFAULT_SECONDS = 10.0  # Prometheus' own
# The rest of what the scraper waits is for rendering and sending.
_COLLECTORS_SHARE = 0.75


@final
@dataclass(frozen=True, slots=True)
class Request:
    """What matters of a request; the bytes are as they came, and header names may be in any case."""

    method: str
    path: str
    query: bytes
    headers: Iterable[Sequence[bytes]]

    def header(self, name: bytes) -> str | None:
        """Return the values of a header as one list (RFC 9110, section 5.3), or None if it was not sent."""
        values = [value.decode("latin-1") for key, value in self.headers if key.lower() == name]
        return ", ".join(values) if values else None


@final
@dataclass(frozen=True, slots=True)
class Response:
    """An answer: its body is ``text``, or what ``rendering`` makes of the families."""

    status: int
    headers: Headers
    text: bytes = b""
    rendering: Rendering | None = None

    @property
    def status_line(self) -> str:
        """The status as WSGI wants it, such as ``200 OK``."""
        return f"{self.status} {HTTPStatus(self.status).phrase}"


def respond(request: Request, *, compression: bool) -> Response:
    """Decide on the answer: GET and HEAD are answered on any path but a browser's ``/favicon.ico``."""
    if request.method not in {"GET", "HEAD"}:
        return _told(request, 405, "Only GET and HEAD are served here.", (b"allow", b"GET, HEAD"))
    if request.path.endswith("/favicon.ico"):
        return _told(request, 404, "There is no icon.")
    filters = _filters(request.query)
    if filters is None:
        limits = f"At most {MAX_FILTERS} parameters of at most {MAX_FILTER_LENGTH} characters are served."
        return _told(request, 400, limits)
    return _exposition(request, filters, compression=compression)


def failure(problem: str) -> Response:
    """Answer that there is nothing to serve, because of a fault on this side."""
    return _plain(500, problem)


def busy(limit: int) -> Response:
    """Answer that ``limit`` scrapes are being served already."""
    return _plain(503, f"Too many concurrent scrapes (limit {limit}).", (b"retry-after", b"1"))


def denied(request: Request, challenge: bytes) -> Response:
    """Refuse whoever may not read: with a challenge, credentials would help (RFC 9110, section 15.5.2)."""
    if challenge:
        return _told(
            request, 401, "The metrics are served for the right credentials.", (b"www-authenticate", challenge)
        )
    return _told(request, 403, "The metrics are not served to you.")


def _exposition(request: Request, filters: frozenset[str], *, compression: bool) -> Response:
    chosen = negotiate(request.header(b"accept"))
    gzip = compression and is_gzip_accepted(request.header(b"accept-encoding"))
    headers: Headers = ((b"content-type", chosen.content_type.encode("ascii")), _VARY)
    if gzip:
        headers += ((b"content-encoding", b"gzip"),)
    if request.method == "HEAD":
        return Response(200, headers)
    return Response(200, headers, rendering=Rendering(chosen, filters, gzip, _seconds(request)))


def _seconds(request: Request) -> float:
    """Return what the collectors have of the time that the scraper says it will wait."""
    told = (request.header(b"x-prometheus-scrape-timeout-seconds") or "").strip(" \t")
    seconds = float(told) if _SECONDS(told) else 0.0
    return (seconds or _DEFAULT_SECONDS) * _COLLECTORS_SHARE


def _told(request: Request, status: int, problem: str, *headers: tuple[bytes, bytes]) -> Response:
    answer = _plain(status, problem, *headers)
    return Response(status, answer.headers) if request.method == "HEAD" else answer


def _plain(status: int, problem: str, *headers: tuple[bytes, bytes]) -> Response:
    text = f"{problem}\n".encode()
    return Response(status, (_TEXT, (b"content-length", b"%d" % len(text)), *headers), text)


def _filters(query: bytes) -> frozenset[str] | None:
    """Return the values of ``name[]``, or None if there are too many parameters or one is too long."""
    try:
        parameters = parse_qsl(query.decode("utf-8", "replace"), max_num_fields=MAX_FILTERS)
    except ValueError:  # more parameters than that
        return None
    names = frozenset(value for key, value in parameters if key == "name[]")
    return None if any(len(name) > MAX_FILTER_LENGTH for name in names) else names
