"""Hooks of MkDocs: the site shows the version that it is about, and its search finds guides before references."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

VERSION = Path(__file__).parents[1] / "asyncmetrics/version.py"
# They have every word of the others. A page with a boost of 1 comes before them if it fits as well.
BOOSTS = {"api": 0.2, "changelog": 0.2}


def on_config(config: Any) -> Any:
    """Add the version to the variables of the theme, and to the footer."""
    (version,) = re.findall(r'^__version__ = "(.*)"$', VERSION.read_text(encoding="utf-8"), re.MULTILINE)
    config.extra["release"] = version
    config.copyright = f"asyncmetrics {version}"
    return config


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Set the weight of a page in the search, unless the page does so itself."""
    room = page.file.src_uri.partition("/")[0].removesuffix(".md")
    if room in BOOSTS:
        page.meta.setdefault("search", {"boost": BOOSTS[room]})
    return markdown
