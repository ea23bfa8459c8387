"""`scrape`: one scrape of an ASGI application, without a server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cached_property
from typing import final
from urllib.parse import quote, urlencode, urljoin, urlsplit

import anyio

from asyncmetrics.bridges.scraping import Exposition
from asyncmetrics.errors import ScrapeError, shorten, show, show_text
from asyncmetrics.model.checks import check_mapping, check_text, list_items, make_refusal
from asyncmetrics.model.family import Metric
from asyncmetrics.testing.series import make_series, read_values
from asyncmetrics.typing import Message, Scope

__all__ = ("ScrapedMetrics", "scrape")

TEXT_ACCEPT = "text/plain;version=1.0.0;escaping=allow-utf-8,text/plain;version=0.0.4;q=0.5"
"""The Accept header for the text format with all names as they are declared."""

_MOST_REDIRECTS = 5  # a mounted application redirects once, to the path with a slash
_SHOWN_CHARACTERS = 300  # of a refusal


@final
class ScrapedMetrics:
    """What an application has exposed: ``text``, with the ``content_type`` of the response."""

    def __init__(self, text: str, content_type: str) -> None:
        self.text = text
        self.content_type = content_type

    @cached_property
    def families(self) -> list[Metric]:
        """The families. Raises `ParseError` if the text breaks the rules of its format."""
        return Exposition(self.text, self.content_type).parse()

    def value(self, name: str, /, **labels: object) -> float | None:
        """Return the value of the sample with this name and these labels, all of them; None if there is none.

        A label with an empty value may be left out.
        """
        check_text("name", name, "jobs_total")
        return read_values(self.families).get(make_series(name, labels))

    def __repr__(self) -> str:
        return f"ScrapedMetrics({show(self.text)}, {self.content_type!r})"


async def scrape(
    app: Callable[..., Awaitable[object]],
    path: str = "/metrics",
    *,
    headers: Mapping[str, str] | None = None,
    names: Iterable[str] = (),
    accept: str = TEXT_ACCEPT,
) -> ScrapedMetrics:
    """Return what ``app``, an ASGI application, exposes at ``path``; call it directly, on any event loop.

    ``headers`` are sent too, such as ``{"authorization": "Bearer …"}``. ``names`` asks for these metrics only, and
    ``accept`` for another format. A redirect inside the application is followed. The application gets no lifespan:
    start and end it by your test client if its metrics need that.

    Raises `ScrapeError` for another answer than 200, with its first line, and `DefinitionError` for a wrong argument.
    What the application raises is raised here.
    """
    if not callable(app):
        raise make_refusal("app", "an ASGI application", app)
    check_text("path", path, "/metrics")
    if not path.startswith("/"):
        raise make_refusal("path", "a path that begins with a slash", path, f"write {f'/{path}'!r}")
    check_text("accept", accept, TEXT_ACCEPT)
    check_mapping("headers", headers or {}, "names to text")
    remedy = f"write [{names!r}]" if isinstance(names, str) else ""
    wanted = list_items("names", names, "a list of names of metrics", remedy=remedy)
    query = urlencode([("name[]", name) for name in wanted])
    target = f"{path}{'&' if '?' in path else '?'}{query}" if query else path
    fields = {"host": "testserver", "accept": accept, **_read_headers(headers or {})}
    for _ in range(_MOST_REDIRECTS):
        response = await _get(app, target, fields)
        location = response.headers.get("location")
        if not 300 <= response.status < 400 or location is None:
            return response.read_metrics(path)
        parts = urlsplit(urljoin(f"http://{fields['host']}{target}", location))
        if parts.netloc != fields["host"]:
            raise ScrapeError(path, f"it redirects to {show(location)}, which is another host")
        target = parts._replace(scheme="", netloc="").geturl()
    raise ScrapeError(path, f"it redirects {_MOST_REDIRECTS} times")


def _read_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with names in lower case, as ASGI has them. Raises `DefinitionError` for what is no text."""
    for part in (*headers, *headers.values()):
        if not isinstance(part, str) or not part.isprintable() or not part.isascii():
            raise make_refusal("headers", "names and values of printable ASCII characters", part)
    return {name.lower(): text for name, text in headers.items()}


@final
class _Response:
    """A response, which the application sends in parts."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.ended = anyio.Event()
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        """Take a message of the application."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            pairs = message.get("headers") or ()
            self.headers = {
                bytes(name).decode("latin-1").lower(): bytes(text).decode("latin-1") for name, text in pairs
            }
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                self.ended.set()

    def read_metrics(self, path: str) -> ScrapedMetrics:
        """Return the metrics. Raises `ScrapeError` for a response without them."""
        if self.status != 200:
            text = self._body.decode("utf-8", "replace").strip().split("\n", 1)[0]
            detail = f": {show_text(shorten(text, _SHOWN_CHARACTERS))}" if text else ""
            raise ScrapeError(path, f"the answer is {self.status or 'none'}{detail}")
        coding = self.headers.get("content-encoding", "identity")
        if coding != "identity":
            raise ScrapeError(path, f"the answer is in the coding {show(coding)}, which was not asked for")
        try:
            return ScrapedMetrics(self._body.decode("utf-8"), self.headers.get("content-type", ""))
        except UnicodeDecodeError as error:
            raise ScrapeError(path, f"the answer is not UTF-8 text: {error}") from error


async def _get(app: Callable[..., Awaitable[object]], target: str, headers: Mapping[str, str]) -> _Response:
    response = _Response()
    requests = iter(({"type": "http.request", "body": b"", "more_body": False},))

    async def receive() -> Message:
        for message in requests:
            return message
        await response.ended.wait()
        return {"type": "http.disconnect"}

    try:
        answer = app(_make_scope(target, headers), receive, response.send)
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:  # the call itself
            raise make_refusal("app", "an ASGI application, which takes scope, receive and send", app) from error
        raise
    await answer
    return response


def _make_scope(target: str, headers: Mapping[str, str]) -> Scope:
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": quote(path, safe="/%").encode("ascii"),
        "query_string": query.encode("utf-8"),
        "root_path": "",
        "headers": [(name.encode("latin-1"), text.encode("latin-1")) for name, text in headers.items()],
        "client": ("testclient", 50000),
        "server": ("testserver", 80),
        "state": {},
    }
