"""What is read of a request's headers before anything is collected."""

from __future__ import annotations

import pytest

from asyncmetrics.exposition.response import Request, respond

TIMEOUT = b"X-Prometheus-Scrape-Timeout-Seconds"
DEFAULT = 7.5  # three quarters of 10 s


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"4", 3.0), (b" 4\t", 3.0), (b"0.4", 0.3), (b"4\xa0", DEFAULT), (b"\x854", DEFAULT), (b"4\x0b", DEFAULT),
        (b"", DEFAULT), (b"0", DEFAULT), (b"nan", DEFAULT), (b"-4", DEFAULT), (b"9" * 5000, DEFAULT),
    ],
)  # fmt: skip
def test_collectors_have_three_quarters_of_the_scraper_s_time(value, seconds):
    response = respond(Request("GET", "/", b"", [(TIMEOUT, value)]), compression=True)
    assert response.rendering is not None
    assert response.rendering.seconds == pytest.approx(seconds)
