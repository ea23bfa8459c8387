"""The site works without a network: its search finds pages, also from a folder, and no page asks another host."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE_SECONDS, PROGRAM_SECONDS
from tests.servers.chromium import run_chromium
from tests.servers.processes import ROOT, find_free_port, is_listening, run_server
from tests.servers.requirements import require_packages

pytestmark = pytest.mark.real

# The site of the project with two pages and without the API reference, which takes most of the time.
CONFIGURATION = f"""
INHERIT: {ROOT}/mkdocs.yml
theme: {{ custom_dir: {ROOT}/docs/theme }}
hooks: [{ROOT}/docs/hooks.py]
nav: [first.md, second.md]
docs_dir: docs
site_dir: site
plugins: {{ search: {{}}, offline: {{}} }}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    require_packages(["mkdocs", "material"])
    place = tmp_path_factory.mktemp("site")
    docs = place / "docs"
    docs.mkdir()
    (docs / "first.md").write_text("# First\n\nWords.\n")
    (docs / "second.md").write_text("# Second\n\nThe heartbeat of a loop.\n")
    for name in ("javascripts", "stylesheets"):
        (docs / name).symlink_to(ROOT / "docs" / name)
    (place / "mkdocs.yml").write_text(CONFIGURATION)
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "-f", str(place / "mkdocs.yml")]
    settings = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=PROGRAM_SECONDS)
    assert done.returncode == 0, done.stderr
    return place / "site"


@pytest.fixture(params=["from a folder", "from a server"])
def address(request, site):
    if request.param == "from a folder":
        yield site.as_uri()
        return
    port = find_free_port()
    command = ["http.server", str(port), "--bind", "127.0.0.1"]
    with run_server(command, site, lambda: is_listening(port)):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def page(address):
    with run_chromium() as browser:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_SECONDS * 1000)
        yield page


def test_the_search_finds_a_page_and_no_other_host_is_asked(page, address):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/first.html")
    page.locator(".md-search__input").click()
    page.keyboard.type("heartbeat")
    link = page.locator(".md-search-result__item a").first
    link.wait_for()
    assert "second.html" in (link.get_attribute("href") or "")
    assert asked
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def test_a_page_shows_the_version_the_repository_and_its_neighbours(page, address):
    from asyncmetrics import __version__

    page.goto(f"{address}/first.html")
    header, footer = page.locator(".md-header"), page.locator(".md-footer")
    assert header.locator(
        f"a[href='https://github.com/asyncmetrics/asyncmetrics']:has-text('{__version__}')"
    ).is_visible()
    assert footer.locator("a[rel='next'], a.md-footer__link--next").get_attribute("href") == "second.html"
    assert f"asyncmetrics {__version__}" in footer.inner_text()
