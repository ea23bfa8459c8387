"""``asyncmetrics live`` in Chromium: its own page reads the metrics, and no other site can make it do so."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from asyncmetrics.bridges.scraping import Target
from asyncmetrics.cli.live import start_live_server
from asyncmetrics.cli.proxy.upstream import Upstream
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.servers.chromium import run_chromium
from tests.servers.raw_server import RawServer

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("live proxy")]

METRICS = b"# TYPE jobs_total counter\njobs_total 1\n"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n" % len(METRICS) + METRICS
# The name of another site leads to this computer, as that of a site that rebinds it does.
REBINDING = "--host-resolver-rules=MAP evil.example 127.0.0.1"
ATTACK = """<!doctype html><body><script>
const seen = window.seen = [];
const note = (what) => (event) => seen.push(`${what}: ${event && event.type ? event.type : event}`);
async function attack(base) {
  for (const mode of ["cors", "no-cors"]) {
    const read = async (answer) => note("fetch")(`${answer.type} ${await answer.text()}`);
    await fetch(base, {mode}).then(read, note("fetch"));
  }
  for (const kind of ["script", "img", "iframe", "object", "embed"]) {
    const element = document.createElement(kind);
    element.onload = note(kind);
    element.onerror = note(kind);
    element[kind === "object" ? "data" : "src"] = base + "/live";
    document.body.append(element);
  }
  const worker = new EventSource(base);
  worker.onopen = note("events");
  worker.onerror = () => { note("events")("error"); worker.close(); };
}
</script>"""


@pytest.fixture(scope="module")
def upstream():
    with RawServer(ANSWER) as server:
        yield server


@pytest.fixture(scope="module")
def served(upstream):
    with start_live_server(Upstream(Target(upstream.url))) as served:
        yield served


@pytest.fixture(scope="module")
def browser():
    with run_chromium(REBINDING) as browser:
        yield browser


@pytest.fixture
def page(browser):
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_SECONDS * 1000)
    yield page
    page.close()


@contextmanager
def unasked(upstream):
    """Check that the block sends no request to the upstream."""
    before = len(upstream.requests)
    yield
    assert len(upstream.requests) == before


def test_the_page_reads_the_metrics_and_breaks_no_rule_of_its_policy(page, served):
    broken = []
    page.on("console", lambda message: broken.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: broken.append(str(error)))
    with page.expect_response(served.url.removesuffix("/live")) as first:
        assert page.goto(served.url).status == 200
    assert first.value.status == 200
    assert first.value.headers["content-type"].startswith("text/plain")
    # Asked again by the page: Chromium on a busy machine has thrown away the body that `Response.body` asks for.
    assert page.evaluate("async url => (await fetch(url)).text()", first.value.url) == METRICS.decode()
    assert broken == []


def test_the_page_shows_the_address_of_the_metrics_and_not_the_secret_of_its_own(page, served, upstream):
    page.goto(served.url)
    page.locator("#status.live").wait_for()
    assert page.locator("#address").inner_text() == upstream.url
    secret = served.url.split("/")[3]
    assert secret not in page.locator("body").inner_text()
    assert page.title() == f"127.0.0.1:{upstream.port} · live metrics"


def test_the_page_shows_no_secret_while_its_own_server_cannot_be_reached(page, served):
    page.route(served.url.removesuffix("/live"), lambda route: route.abort())
    page.goto(served.url)
    page.locator("#status.down").wait_for()
    assert served.url.split("/")[3] not in page.locator("body").inner_text() + page.title()


def test_the_page_says_why_the_metrics_cannot_be_read(page, served):
    answer = {"status": 502, "headers": {"asyncmetrics-source": "http://shop/metrics", "content-type": "text/plain"}}
    body = "The metrics cannot be read: Connection refused.\n"
    page.route(served.url.removesuffix("/live"), lambda route: route.fulfill(body=body, **answer))
    page.goto(served.url)
    page.locator("#status.down").wait_for()
    shown = page.locator("#problem-text").inner_text()
    assert shown.endswith("M: Connection refused. The page tries again by itself.")


def test_a_name_that_is_rebound_to_this_computer_gets_nothing(page, served, upstream):
    for url in (served.url, served.url.removesuffix("/live")):
        rebound = url.replace("127.0.0.1", "evil.example")
        with unasked(upstream):
            assert page.goto(rebound).status == 403
        assert "jobs_total" not in page.content()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost"])
def test_a_page_of_another_site_that_knows_the_secret_gets_nothing(page, served, upstream, serving, host):
    """Another port of this computer is another origin, though the same site."""

    async def attack(_):
        return HTMLResponse(ATTACK)

    with serving(Starlette(routes=[Route("/", attack)])) as own, unasked(upstream):
        page.goto(own.replace("127.0.0.1", host))
        page.evaluate("base => attack(base)", served.url.removesuffix("/live"))
        seen = wait_until(lambda: page.evaluate("window.seen"), lambda seen: len(seen) >= 7)
        assert "jobs_total" not in str(seen)
        for frame in page.frames[1:]:
            assert "jobs_total" not in frame.content()


def test_a_link_on_another_site_opens_nothing(page, served, upstream, serving):
    async def link(_):
        return HTMLResponse(f"<a href={served.url.removesuffix('/live')}>free metrics</a>")

    with serving(Starlette(routes=[Route("/", link)])) as own, unasked(upstream):
        page.goto(own.replace("127.0.0.1", "evil.example"))
        with page.expect_navigation() as navigation:
            page.click("a")
        assert navigation.value.status == 403


def test_the_page_runs_in_no_frame(page, served, upstream, serving):
    async def frame(_):
        return HTMLResponse(f"<iframe src={served.url}></iframe>")

    with serving(Starlette(routes=[Route("/", frame)])) as own, unasked(upstream):
        page.goto(own)
        wait_until(
            lambda: [frame.url for frame in page.frames[1:]], lambda urls: urls and urls[0] not in {"", "about:blank"}
        )
        assert page.frames[1].url.startswith("chrome-error:")
