"""`load_page`: the live page as bytes, with the headers that allow its own style and script and nothing else."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import final

__all__ = ("SCRIPTS", "LivePage", "load_page")

SCRIPTS = (
    "format.js",
    "text.js",
    "history.js",
    "names.js",
    "dom.js",
    "charts.js",
    "figures.js",
    "tiles.js",
    "routes.js",
    "clients.js",
    "inside.js",
    "jobs.js",
    "logs.js",
    "workers.js",
    "source.js",
    "own.js",
    "cardinality.js",
    "main.js",
)
"""The parts of the script in the order in which they are joined; each uses names of those before it."""
_ASSETS = "assets"
_PACKAGE = "asyncmetrics.exposition.live"


@final
@dataclass(frozen=True, slots=True)
class LivePage:
    """The page and its headers, without Content-Length: a server may compress the body."""

    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]


@cache
def load_page() -> LivePage:
    """Return the page, which is read from the package at the first call: call it before the event loop runs."""
    style = _read_asset("style.css")
    script = '"use strict";\n(() => {\n' + "\n".join(map(_read_asset, SCRIPTS)) + "\n})();\n"
    html = _read_asset("page.html")
    body = html.replace("<style></style>", f"<style>{style}</style>")
    body = body.replace("<script></script>", f"<script>{script}</script>")
    return LivePage(body.encode(), _list_headers(style, script))


def _read_asset(name: str) -> str:
    return (files(_PACKAGE) / _ASSETS / name).read_text(encoding="utf-8")


def _list_headers(style: str, script: str) -> tuple[tuple[bytes, bytes], ...]:
    policy = (
        "default-src 'none'",
        f"script-src '{_hash(script)}'",
        f"style-src '{_hash(style)}'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "form-action 'none'",
        "base-uri 'none'",
    )
    return (
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", "; ".join(policy).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-store"),
    )


def _hash(text: str) -> str:
    """Return the source expression of CSP for an inline element with this text (CSP Level 3, section 2.3.1)."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
