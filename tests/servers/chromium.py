"""Chromium, as tests with a browser start it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.servers.requirements import find_program, require_packages

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ("run_chromium",)

# Without the services that connect to other hosts.
_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def run_chromium(*arguments: str) -> Iterator[Browser]:
    """Run a browser with further ``arguments`` until the block ends: playwright's event loop must end with a module."""
    path = find_program("chromium")
    require_packages(["playwright"])
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*_ARGUMENTS, *arguments])
        try:
            yield browser
        finally:
            browser.close()
