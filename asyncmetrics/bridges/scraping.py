"""Read the exposition of a server over HTTP: one scrape, with credentials, by the standard library's urllib.

*Rules.*

1. Follow a redirect only within one origin: credentials must not reach another server.
2. Bound what is read, and the time of it: the URL may be of anything.
3. Return a whole exposition or none: of a part, all that is missing would look as if it were gone.
"""

from __future__ import annotations

import ssl
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from gzip import GzipFile
from http.client import HTTPException, HTTPMessage, HTTPResponse, IncompleteRead
from io import BytesIO
from typing import IO, final
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from asyncmetrics.bridges.explaining import explain_failure
from asyncmetrics.bridges.timed_http import TimedHandler, TimedTLSHandler
from asyncmetrics.errors import ScrapeError, show
from asyncmetrics.formats.negotiation import CONTENT_TYPE_LATEST, CONTENT_TYPE_OPENMETRICS, CONTENT_TYPE_PROTOBUF
from asyncmetrics.formats.reading.openmetrics import parse_openmetrics
from asyncmetrics.formats.reading.protobuf import list_native_names
from asyncmetrics.formats.reading.text import parse_prometheus
from asyncmetrics.model.escaping import ALLOW_UTF_8
from asyncmetrics.model.family import Metric

__all__ = ("MOST_BYTES", "OPENMETRICS_FIRST", "TEXT_FIRST", "Exposition", "Target")

TEXT_FIRST = "text/plain;version=1.0.0;escaping=allow-utf-8,text/plain;version=0.0.4;q=0.9,*/*;q=0.1"
"""The Accept header for the Prometheus text format: 1.0.0, which has all names as they are, or 0.0.4."""
OPENMETRICS_FIRST = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8,text/plain;q=0.5,*/*;q=0.1"
"""The Accept header for OpenMetrics, or the text format where a server has nothing else."""

MOST_BYTES = 1 << 30
"""What is read of an exposition: 1 GiB, which is more than 5 million series."""
_SHOWN_BYTES = 300  # of a refusal


@final
@dataclass(frozen=True, slots=True)
class Exposition:
    """What a server has sent: the decoded text, and the value of its Content-Type."""

    text: str
    content_type: str = CONTENT_TYPE_LATEST

    @classmethod
    def from_text(cls, text: str) -> Exposition:
        """Return a text without a Content-Type: it is OpenMetrics if its last line is ``# EOF``."""
        is_openmetrics = text.rstrip().endswith("# EOF")  # the text format has no such line
        return cls(text, CONTENT_TYPE_OPENMETRICS if is_openmetrics else CONTENT_TYPE_LATEST)

    @property
    def is_openmetrics(self) -> bool:
        """Whether the text is in the format OpenMetrics."""
        return self.content_type.lower().startswith("application/openmetrics-text")

    def parse(self) -> list[Metric]:
        """Return the families. Raises `ParseError` with the number of the first wrong line."""
        return list(parse_openmetrics(self.text) if self.is_openmetrics else parse_prometheus(self.text))


@final
@dataclass(frozen=True, slots=True)
class Target:
    """A URL of metrics and how to reach it; ``ca_file`` is a file of certificates that are trusted in addition.

    ``timeout`` is in seconds: how long the connection, and then the whole response, may take.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    ca_file: str | None = None
    timeout: float = 10.0

    def scrape(self, names: Iterable[str] = (), accept: str = TEXT_FIRST) -> Exposition:
        """Return what the server exposes, or of the families with these ``names`` only, if the server can filter.

        Raises `ScrapeError` if the server cannot be reached or does not answer with text.
        """
        body, content_type = self._fetch(names, accept)
        try:
            return Exposition(body.decode("utf-8"), content_type)
        except UnicodeDecodeError as error:
            raise ScrapeError(self.url, f"the answer is not UTF-8 text: {error}") from error

    def find_natives(self, escaping: str = ALLOW_UTF_8) -> frozenset[str]:
        """Return the names of the native histograms that the server exposes; ``escaping`` is how it writes names.

        Raises `ScrapeError` if it cannot be reached, or does not answer with protobuf, the only format that has them.
        """
        body, content_type = self._fetch((), f"{CONTENT_TYPE_PROTOBUF}; escaping={escaping}")
        try:
            if not content_type.startswith(CONTENT_TYPE_PROTOBUF.partition(";")[0]):
                raise ValueError(f"expected protobuf, which alone shows native histograms, got {show(content_type)}")
            return frozenset(list_native_names(body))
        except ValueError as error:
            raise ScrapeError(self.url, str(error)) from error

    def _fetch(self, names: Iterable[str], accept: str) -> tuple[bytes, str]:
        """Return the body and its Content-Type."""
        try:
            request = self._make_request(names, accept)
            opener = build_opener(_OwnOrigin(), TimedHandler(), TimedTLSHandler(self._make_context()))
            with opener.open(request, timeout=self.timeout) as response:
                content_type: str = response.headers.get("Content-Type") or CONTENT_TYPE_LATEST
                return _read_body(response), content_type
        except HTTPError as error:
            raise ScrapeError(self.url, _explain_refusal(error)) from error
        except (OSError, HTTPException, EOFError, ValueError, zlib.error) as error:
            raise ScrapeError(self.url, explain_failure(error)) from error

    def _make_request(self, names: Iterable[str], accept: str) -> Request:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("expected a URL such as http://127.0.0.1:8000/metrics")
        parts.port  # noqa: B018  # a wrong port is a ValueError
        if "@" in parts.netloc:
            raise ValueError("expected a URL without a user and a password: send them as a header")
        query = "&".join(filter(None, (parts.query, urlencode([("name[]", name) for name in names]))))
        url = parts._replace(query=query, fragment="").geturl()
        headers = {"Accept": accept, "Accept-Encoding": "gzip", **self.headers}
        return Request(url, headers=headers)  # noqa: S310  # the scheme is checked above

    def _make_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self.ca_file is not None:
            try:
                context.load_verify_locations(self.ca_file)
            except ssl.SSLError as error:
                raise ValueError(f"{self.ca_file} is no file of certificates (PEM)") from error
        return context


class _OwnOrigin(HTTPRedirectHandler):
    """Refuse a redirect to another scheme, host or port."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if urlsplit(newurl)[:2] != urlsplit(req.full_url)[:2]:
            fp.close()
            raise URLError(f"it redirects to {newurl}: use that URL if it is the right one")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _read_body(response: HTTPResponse) -> bytes:
    headers = response.headers
    if response.status != 200:
        raise ValueError(f"the answer is {response.status} {response.reason}")
    body = response.read(MOST_BYTES + 1)
    length = headers.get("Content-Length", "")
    if length.isdecimal() and len(body) < min(int(length), MOST_BYTES) and "Transfer-Encoding" not in headers:
        raise IncompleteRead(body)
    coding = headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in {"gzip", "identity"}:
        raise ValueError(f"the answer is in the coding {show(coding)}, which was not asked for")
    if len(body) <= MOST_BYTES and coding == "gzip":
        body = GzipFile(fileobj=BytesIO(body)).read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise ValueError(f"the answer is longer than {MOST_BYTES >> 20} MiB")
    return body


def _explain_refusal(error: HTTPError) -> str:
    try:
        with error:
            text = error.read(_SHOWN_BYTES).decode("utf-8", "replace").strip().split("\n", 1)[0]
    except (OSError, HTTPException) as broken:
        text = repr(broken)
    return f"the answer is {error.code} {error.reason}" + (f": {text}" if text else "")
