"""What libraries measure through OpenTelemetry has the numbers of all workers, whichever worker answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.requirements import require_packages
from tests.servers.uvicorn_workers import Worker, connect_to_each, run_uvicorn_workers

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.xdist_group("opentelemetry")]

SCOPE = {"otel_scope_name": "shop"}


@pytest.fixture(scope="module")
def workers(tmp_path_factory) -> Iterator[list[Worker]]:
    require_packages(["uvicorn", "opentelemetry", "fastapi.telemetry"])
    place = tmp_path_factory.mktemp("opentelemetry")
    with run_uvicorn_workers("opentelemetry_app", 2, place) as server, connect_to_each(server, 2) as found:
        yield found


def test_counters_are_the_sum_over_all_workers(workers):
    before = workers[0].value("otel_shop_orders_total", item="1", **SCOPE)
    for worker in workers:
        worker.get("/items/1")
    for worker in workers:
        worker.await_value(before + 2, "otel_shop_orders_total", item="1", **SCOPE)


def test_the_native_telemetry_of_fastapi_is_exposed_once_for_all_workers(workers):
    name, labels = "otel_http_server_request_duration_seconds_count", {"http_route": "/own/{pid}"}
    before = workers[0].value(name, **labels)
    for worker in workers:
        worker.get(f"/own/{worker.pid}")
    for worker in workers:
        worker.await_value(before + 2, name, **labels)
        worker.await_value(1, "otel_http_server_active_requests")  # the scrape itself


def test_attributes_and_instruments_of_one_worker_are_exposed_by_all(workers):
    for worker in workers:
        worker.get(f"/own/{worker.pid}")
    for answering in workers:
        for counting in workers:
            label = {f"worker_{counting.pid}": "mine"}
            assert answering.value("otel_shop_orders_total", **label) >= 1
            assert answering.value(f"otel_own_{counting.pid}_milliseconds_count", **SCOPE) >= 1


def test_observable_instruments_are_asked_in_every_worker(workers):
    for worker in workers:
        worker.get("/items/2")
    answering = workers[0]
    answered = answering.value("http_server_request_duration_seconds_count", route="/items/{number}")
    answering.await_value(answered, "otel_shop_observed_total", kind="retail")
    answering.await_value(answered, "otel_shop_waiting", kind="retail")
    levels = [
        value for (name, labels), value in answering.samples().items() if name == "otel_shop_level_ratio" and labels
    ]
    assert (len(levels), sum(levels)) == (2, answered)
