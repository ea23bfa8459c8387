"""From a request to its response, decided without any I/O: the status, the headers, and what to render.

Accept decides on the format (`negotiate`), Accept-Encoding on gzip (`is_gzip_accepted`); `rendering` compresses.

*Rules.*

1. Let nothing in a request raise or lead to a 5xx: decode bytes with replacement, and bound the filters.
2. Write no part of a request into its response.
3. Give every response a Content-Type: Prometheus 3 drops a target without a valid one.
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
    "refuse_access",
    "refuse_busy",
    "refuse_failed",
    "refuse_method",
    "respond",
)

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

# Far beyond what a scrape configuration holds, and still parsed on the loop within a step.
MAX_FILTERS = 256
"""How many parameters a query may have."""
MAX_FILTER_LENGTH = 1024
"""How many characters a ``name[]`` may have."""
_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_VARY = (b"vary", b"Accept, Accept-Encoding")

_match_seconds: Callable[[str], object] = re.compile(r"[0-9]{1,4}(\.[0-9]{1,9})?").fullmatch
_DEFAULT_TIMEOUT_SECONDS = 10.0  # Prometheus' own default
# Of the scraper's timeout; the rest is for rendering and sending.
_COLLECTORS_SHARE = 0.75


@final
@dataclass(frozen=True, slots=True)
class Request:
    """The parts of a request that matter here, as bytes where they came as bytes; header names may be in any case."""

    method: str
    path: str
    query: bytes
    headers: Iterable[Sequence[bytes]]

    def get_header(self, name: bytes) -> str | None:
        """Return the values of a header as one list (RFC 9110, section 5.3), or None if it was not sent."""
        values = [value.decode("latin-1") for key, value in self.headers if key.lower() == name]
        return ", ".join(values) if values else None


@final
@dataclass(frozen=True, slots=True)
class Response:
    """A response whose body is ``text``, or the families as ``rendering`` renders them."""

    status: int
    headers: Headers
    text: bytes = b""
    rendering: Rendering | None = None

    @property
    def status_line(self) -> str:
        """The status as WSGI wants it, such as ``200 OK``."""
        return f"{self.status} {HTTPStatus(self.status).phrase}"


def respond(request: Request, *, compression: bool) -> Response:
    """Return the response to ``request``: GET and HEAD are served on any path but a browser's ``/favicon.ico``."""
    if request.method not in {"GET", "HEAD"}:
        return refuse_method(request)
    if request.path.endswith("/favicon.ico"):
        return _refuse(request, 404, "There is no icon.")
    names = _read_names(request.query)
    if names is None:
        limits = f"At most {MAX_FILTERS} parameters of at most {MAX_FILTER_LENGTH} characters are served."
        return _refuse(request, 400, limits)
    return _serve_metrics(request, names, compression=compression)


def refuse_method(request: Request) -> Response:
    """Return a 405, for a request that is neither GET nor HEAD."""
    return _refuse(request, 405, "Only GET and HEAD are served here.", (b"allow", b"GET, HEAD"))


def refuse_failed(problem: str) -> Response:
    """Return a 500 with ``problem``, a fault of the program that is scraped."""
    return _make_text_response(500, problem)


def refuse_busy(limit: int) -> Response:
    """Return a 503, as ``limit`` scrapes are being served already."""
    return _make_text_response(503, f"Too many concurrent scrapes (limit {limit}).", (b"retry-after", b"1"))


def refuse_access(request: Request, challenge: bytes) -> Response:
    """Return a 401 with the ``challenge`` if credentials would help (RFC 9110, section 15.5.2), or else a 403."""
    if challenge:
        authenticate = (b"www-authenticate", challenge)
        return _refuse(request, 401, "The right credentials are needed to read the metrics.", authenticate)
    return _refuse(request, 403, "You may not read the metrics.")


def _serve_metrics(request: Request, names: frozenset[str], *, compression: bool) -> Response:
    format_ = negotiate(request.get_header(b"accept"))
    gzip = compression and is_gzip_accepted(request.get_header(b"accept-encoding"))
    headers: Headers = ((b"content-type", format_.content_type.encode("ascii")), _VARY)
    if gzip:
        headers += ((b"content-encoding", b"gzip"),)
    if request.method == "HEAD":
        return Response(200, headers)
    return Response(200, headers, rendering=Rendering(format_, names, gzip, _read_collector_seconds(request)))


def _read_collector_seconds(request: Request) -> float:
    """Return the collectors' share of the scraper's timeout."""
    timeout = (request.get_header(b"x-prometheus-scrape-timeout-seconds") or "").strip(" \t")
    seconds = float(timeout) if _match_seconds(timeout) else 0.0
    return (seconds or _DEFAULT_TIMEOUT_SECONDS) * _COLLECTORS_SHARE


def _read_names(query: bytes) -> frozenset[str] | None:
    """Return the values of ``name[]``, or None if there are too many parameters or one is too long."""
    try:
        parameters = parse_qsl(query.decode("utf-8", "replace"), max_num_fields=MAX_FILTERS)
    except ValueError:  # too many of them
        return None
    names = frozenset(value for key, value in parameters if key == "name[]")
    return None if any(len(name) > MAX_FILTER_LENGTH for name in names) else names


def _refuse(request: Request, status: int, problem: str, *headers: tuple[bytes, bytes]) -> Response:
    response = _make_text_response(status, problem, *headers)
    return Response(status, response.headers) if request.method == "HEAD" else response


def _make_text_response(status: int, problem: str, *headers: tuple[bytes, bytes]) -> Response:
    text = f"{problem}\n".encode()
    return Response(status, (_TEXT, (b"content-length", b"%d" % len(text)), *headers), text)
