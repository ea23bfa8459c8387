"""The page as it is served: one file with its own policy, which loads nothing and makes no markup of texts."""

from __future__ import annotations

import re
import subprocess
import sys
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

import pytest

from asyncmetrics.exposition.live.page import SCRIPTS, load_page
from tests.servers.processes import ROOT

ASSETS = files("asyncmetrics.exposition.live") / "assets"
TEXTS = {asset.name: asset.read_text(encoding="utf-8") for asset in ASSETS.iterdir() if asset.is_file()}
PAGE = load_page()
HTML = PAGE.body.decode()
HEADERS = {name.decode(): value.decode() for name, value in PAGE.headers}


def _read_policy() -> dict[str, str]:
    directives = (directive.split(" ", 1) for directive in HEADERS["content-security-policy"].split("; "))
    return {name: sources for name, sources in directives}


def _hash_element(tag: str) -> str:
    (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", HTML, re.DOTALL)
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"


def test_the_policy_allows_the_own_style_and_script_and_connections_to_the_own_origin_alone():
    assert _read_policy() == {
        "default-src": "'none'",
        "script-src": _hash_element("script"),
        "style-src": _hash_element("style"),
        "connect-src": "'self'",
        "frame-ancestors": "'none'",
        "form-action": "'none'",
        "base-uri": "'none'",
    }


def test_the_page_is_html_that_is_neither_guessed_nor_stored_and_sends_no_referrer():
    del HEADERS["content-security-policy"]
    assert HEADERS == {
        "content-type": "text/html; charset=utf-8",
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
    }


def test_the_script_is_all_parts_in_the_order_of_the_table():
    places = [HTML.index(TEXTS[name]) for name in SCRIPTS]
    assert places == sorted(places)
    assert {name for name in TEXTS if name.endswith(".js")} == set(SCRIPTS)


def test_the_page_has_no_address_of_another_host():
    assert re.findall(r"https?:|//\w+\.\w|\bsrc=|\bhref=|\burl\(|@import", HTML) == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_makes_no_markup_and_no_code_of_texts(name):
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|srcdoc|\beval\b"
        r'|new Function|setAttribute\("(?:style|on)|\bimport\b|localStorage|sessionStorage|document\.cookie|indexedDB'
        r"|set(?:Timeout|Interval)\([\"'`]"
    )
    assert re.findall(forbidden, TEXTS[name]) == []


def test_no_element_has_a_style_or_a_handler_which_the_policy_forbids():
    assert re.findall(r"<[^>]*\s(?:style|on\w+)=", TEXTS["page.html"]) == []


@pytest.mark.parametrize("name", TEXTS)
def test_an_asset_is_short_and_ends_no_element(name):
    assert len(TEXTS[name].splitlines()) <= 400
    assert max(map(len, TEXTS[name].splitlines())) <= 260
    assert name == "page.html" or re.findall(r"</(?:script|style)|<!--", TEXTS[name]) == []


def test_loading_the_page_reads_the_files_once():
    assert load_page() is PAGE


def test_importing_the_loader_reads_no_asset():
    code = "import asyncmetrics.exposition.live.page as page; print(page.load_page.cache_info().currsize)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "0\n"
