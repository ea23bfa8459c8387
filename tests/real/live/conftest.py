"""A real Chromium, and a server of the live page whose metrics a test writes itself.

The clock of the page belongs to the test: time passes when `View.read` says so, and a rate is exact.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page

from asyncmetrics.exposition.live.page import SCRIPTS, load_page
from tests.patience import PATIENCE_SECONDS, wait_for, wait_until
from tests.servers.chromium import run_chromium

TEXT = "text/plain; version=0.0.4; charset=utf-8"
INTERVAL_SECONDS = 2
PAGE = load_page()  # read here: reading files blocks an event loop
_WATCH = "addEventListener('securitypolicyviolation', (event) => console.error('CSP', event.violatedDirective))"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium, until the end of the module: the loop of playwright must not be there for tests of other modules."""
    with run_chromium() as browser:
        yield browser


@dataclass
class Upstream:
    """An ASGI application: the page at ``/live`` behind any path, and ``text`` elsewhere."""

    text: str = ""
    status: int = 200
    content_type: str = TEXT
    headers: dict[str, str] = field(default_factory=dict)
    respond: Callable[[Any], str] | None = None
    """Returns the text for one scope, instead of ``text``."""
    requests: list[Any] = field(default_factory=list)
    """The scopes of all requests but those for the page."""

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        if scope["path"].rstrip("/").endswith("/live"):
            status, headers, body = 200, list(PAGE.headers), PAGE.body
        else:
            self.requests.append(scope)
            text = self.respond(scope) if self.respond else self.text  # which may set the status as well
            status = self.status
            headers, body = [(b"content-type", self.content_type.encode())], text.encode()
            headers += [(name.encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def read_header(self, name: str) -> str | None:
        """Return a header of the last request."""
        return dict(self.requests[-1]["headers"]).get(name.encode(), b"").decode() or None


@dataclass
class View:
    """An open page, its server, and all that it has logged as an error: violations of the policy, exceptions."""

    page: Page
    upstream: Upstream
    url: str
    errors: list[str] = field(default_factory=list)

    def count_reads(self) -> int:
        return int(self.page.evaluate("document.body.dataset.reads || 0"))

    def wait_for_reads(self, number: int) -> None:
        wait_for(self.count_reads, number)

    def read(self, text: str | None = None, seconds: float = INTERVAL_SECONDS) -> None:
        """Let the time until the next text pass, and show that text."""
        if text is not None:
            self.upstream.text = text
        number = self.count_reads() + 1
        self.page.clock.run_for(seconds * 1000)
        self.wait_for_reads(number)

    def list_cells(self, section: str) -> list[list[str]]:
        """Return the texts of all cells of a section's table."""
        script = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
        return self.page.locator(f"#{section} tbody tr").evaluate_all(script)

    def get_row(self, section: str, name: str) -> dict[str, str]:
        """Return the texts of one row by the titles of the columns, without the marks of sorting."""
        titles = self.page.locator(f"#{section} thead th").all_inner_texts()
        (row,) = [cells for cells in self.list_cells(section) if name in cells]
        return dict(zip([title.rstrip(" ↑↓") for title in titles], row, strict=True))

    def get_tiles(self) -> dict[str, str]:
        """Return the values of the tiles by their names."""
        tiles = self.page.locator(".tile")
        script = "tiles => tiles.map(tile => [tile.children[0].textContent, tile.children[1].innerText])"
        return {name: value.replace("\n", " ") for name, value in tiles.evaluate_all(script)}

    def find(self, selector: str) -> Locator:
        return self.page.locator(selector)


@pytest.fixture
def open_page(browser, serve) -> Iterator[Callable[..., View]]:
    """Open the live page: ``view = open_page(Upstream(text))``. An error on its console fails the test."""
    views: list[View] = []
    contexts = []

    def open_page(upstream: Upstream, path: str = "/metrics/live", *, base: str | None = None, **options: Any) -> View:
        context = browser.new_context(viewport={"width": 1360, "height": 1000}, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE_SECONDS * 1000)
        page = context.new_page()
        view = View(page, upstream, (base or serve(upstream)) + path)
        page.on("console", lambda message: _note(view, message))
        page.on("pageerror", lambda error: view.errors.append(str(error)))
        page.add_init_script(_WATCH)
        page.clock.install(time=1_800_000_001 - PATIENCE_SECONDS)  # it runs until it is paused
        page.clock.pause_at(1_800_000_001)
        page.goto(view.url)
        wait_until(view.count_reads)
        views.append(view)
        return view

    yield open_page
    for context in contexts:
        context.close()
    assert [error for view in views for error in view.errors] == []


def _note(view: View, message: ConsoleMessage) -> None:
    """Keep what the console shows as an error, but not the browser's own line about a status that is no success."""
    if message.type == "error" and "Failed to load resource" not in message.text:
        view.errors.append(message.text)


@pytest.fixture(scope="module")
def run_script(browser) -> Iterator[Callable[..., Any]]:
    """Call a function with the page's script, without its last part: ``run_script("f", argument)``."""
    folder = files("asyncmetrics.exposition.live") / "assets"
    page = browser.new_page()
    parts = [(folder / name).read_text(encoding="utf-8") for name in SCRIPTS if name != "main.js"]
    page.add_script_tag(content="\n".join(parts))
    yield lambda expression, argument=None: json.loads(
        page.evaluate(f"(argument) => JSON.stringify(({expression})(argument), {_REPLACE})", argument), parse_int=float
    )
    page.close()


# JSON has no number for these.
_REPLACE = "(key, value) => typeof value === 'number' && !Number.isFinite(value) ? String(value) : value"
