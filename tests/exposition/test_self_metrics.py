"""What the exposition counts of its own scrapes, at the next one."""

from __future__ import annotations

import anyio
import pytest

from asyncmetrics import make_asgi_app


def outcomes(registry) -> dict[str, float]:
    families = registry.restricted_registry(["asyncmetrics_scrapes"]).collect()
    return {sample.labels["outcome"]: sample.value for family in families for sample in family.samples}


async def silent() -> dict:
    await anyio.sleep_forever()
    raise AssertionError("unreachable")


def test_a_scrape_that_was_served_is_counted_and_timed(registry, ask, backend):
    app = make_asgi_app(registry)
    ask(app, backend=backend)
    text = ask(app, backend=backend).text
    assert 'asyncmetrics_scrapes_total{outcome="served"} 1.0' in text
    assert "asyncmetrics_scrape_duration_seconds_count 1.0" in text
    assert registry.get_sample_value("asyncmetrics_scrape_duration_seconds_sum") > 0


def test_the_chunks_of_a_scrape_are_counted(ask, paged):
    registry, _ = paged(20)
    answer = ask(make_asgi_app(registry))
    assert (
        registry.get_sample_value("asyncmetrics_scrape_chunks_sum") == len(answer.chunks) - 1
    )  # the last one is empty


def test_a_scrape_that_failed_is_counted_as_such(ask, paged, caplog):
    registry, _ = paged(3, broken_at=0)
    ask(make_asgi_app(registry))
    assert outcomes(registry) == {"failed": 1}


def test_a_scrape_whose_client_went_away_is_counted_as_such(scope, paged, backend):
    registry, _ = paged(100)

    async def send(message: dict) -> None:
        if message.get("body"):
            raise BrokenPipeError

    anyio.run(make_asgi_app(registry), scope(), silent, send, backend=backend)
    assert outcomes(registry) == {"abandoned": 1}


def test_a_cancelled_scrape_is_counted_as_such(scope, paged, backend):
    registry, _ = paged(100)

    async def main() -> None:
        async def send(message: dict) -> None:
            cancelling.cancel()

        with anyio.CancelScope() as cancelling:
            await make_asgi_app(registry)(scope(), silent, send)

    anyio.run(main, backend=backend)
    assert outcomes(registry) == {"abandoned": 1}


@pytest.mark.parametrize("request_of", [{"method": "HEAD"}, {"method": "POST"}, {"path": "/favicon.ico"}])
def test_a_request_that_is_no_scrape_is_not_counted(registry, ask, request_of):
    ask(make_asgi_app(registry), **request_of)
    assert outcomes(registry) == {}


def test_scrapes_of_a_restricted_registry_are_counted_in_its_registry(registry, ask):
    ask(make_asgi_app(registry.restricted_registry(["jobs_total"])))
    assert outcomes(registry) == {"served": 1}


def test_the_port_of_its_own_counts_as_well(registry, start, connect):
    client = connect(start(registry))
    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    while client.recv(10000):
        pass
    assert outcomes(registry) == {"served": 1}
