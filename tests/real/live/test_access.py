"""The live page of three workers of uvicorn in Chromium: with a token, and with basic credentials."""

from __future__ import annotations

import httpx
import pytest

from asyncmetrics.exposition.live.page import load_page
from tests.patience import PATIENCE_SECONDS
from tests.servers.chromium import run_chromium
from tests.servers.uvicorn_workers import connect_to_each, run_uvicorn_workers

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("live access")]

WORKERS = 3


@pytest.fixture(scope="module", params=["token", "basic"])
def auth(request):
    return request.param


@pytest.fixture(scope="module")
def server(auth, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIVE_AUTH", auth)
        with run_uvicorn_workers("live_app", WORKERS, tmp_path_factory.mktemp("run")) as server:
            yield server


@pytest.fixture(scope="module")
def browser():
    with run_chromium() as browser:
        yield browser


@pytest.fixture
def opened(browser, server, auth):
    """Open the page as its user does, and return what the browser gets for it and for its first read of metrics."""
    credentials = {"username": "user", "password": "password"} if auth == "basic" else None
    context = browser.new_context(http_credentials=credentials)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_SECONDS * 1000)
    metrics = f"http://127.0.0.1:{server.port}/metrics"
    with page.expect_response(metrics) as first:
        document = page.goto(f"{metrics}/live")
    yield document, first.value
    context.close()


def test_every_worker_serves_the_page(server, auth):
    expected = (401, "The right credentials are needed") if auth == "basic" else (200, load_page().body.decode())
    with connect_to_each(server, WORKERS) as workers:
        for worker in workers:
            status, text = worker.get("/metrics/live")
            assert (status, text[: len(expected[1])]) == expected


def test_the_metrics_need_credentials(server):
    assert httpx.get(f"http://127.0.0.1:{server.port}/metrics").status_code == 401


def test_a_browser_opens_the_page(opened):
    document, _ = opened
    assert (document.status, document.body()) == (200, load_page().body)


def test_the_page_reads_the_metrics_or_is_asked_for_the_token(opened, auth):
    _, first = opened
    assert first.status == (401 if auth == "token" else 200)
    if auth == "token":
        assert first.headers["www-authenticate"].startswith("Bearer")
