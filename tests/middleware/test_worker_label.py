"""`worker_label`: the durations, exceptions and active requests of each worker apart."""

from __future__ import annotations

import pytest

from asyncmetrics import CollectorRegistry, MetricsMiddleware, bind_labels
from asyncmetrics.errors import DefinitionError, DuplicateMetricError
from asyncmetrics.storage import SharedStorage
from tests.patience import eventually

pytestmark = [pytest.mark.edge("label"), pytest.mark.blocking]  # one loop is all workers here, which read their files

EVENTS = [(b"content-type", b"text/event-stream")]


async def app(scope, receive, send):
    bind_labels(plan="gold")
    scope["asyncmetrics.route"] = "/"
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})
        return
    headers = EVENTS if scope["path"] == "/events" else []
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"one", "more_body": True})
    if "look" in scope:
        scope["look"]()
    await send({"type": "http.response.body", "body": b"two"})
    if scope["path"] == "/fails":
        raise ValueError


@pytest.fixture
def workers(tmp_path):
    """The registries of two workers that share their metrics."""
    return [CollectorRegistry(storage=SharedStorage(str(tmp_path / "metrics"))) for _ in range(2)]


@pytest.fixture
def read(workers):
    """Read the samples of a name by their label ``worker``, which is None if they have none.

    The keeper of the other worker may be at work in its files: then the numbers are there when it has ended.
    """

    def read(name):
        samples = [s for family in workers[0].collect() for s in family.samples if s.name == name]
        return {s.labels.get("worker"): s.value for s in samples}

    return read


async def serve(workers, ask, connect, **options):
    """Send each worker a request that ends well, one that raises, a stream and a websocket."""
    for registry in workers:
        measured = MetricsMiddleware(app, registry=registry, **options)
        for path in ("/fails", "/events"):
            await ask(measured, path)
        await connect(measured)


COUNTS = (
    "http_server_request_duration_seconds_count",
    "http_server_stream_duration_seconds_count",
    "http_server_exceptions_total",
    "websocket_server_connection_duration_seconds_count",
)


@pytest.mark.parametrize("name", COUNTS)
async def test_durations_and_exceptions_have_the_label_of_their_worker(name, workers, ask, connect, read):
    await serve(workers, ask, connect, worker_label=True)
    await eventually(lambda: read(name), {"0": 1, "1": 1})


@pytest.mark.parametrize("name", COUNTS)
async def test_without_the_option_they_are_added_up(name, workers, ask, connect, read):
    await serve(workers, ask, connect)
    await eventually(lambda: read(name), {None: 2})


@pytest.mark.parametrize(
    "options", [{"context_labels": ["plan"]}, {"extra_labels": {"service": "shop"}}, {"conventions": "opentelemetry"}]
)
async def test_it_goes_with_other_labels(options, workers, ask, connect, read):
    await serve(workers, ask, connect, worker_label=True, **options)
    await eventually(lambda: read(COUNTS[0]), {"0": 1, "1": 1})


async def test_sizes_are_added_up_all_the_same(workers, ask, connect, read):
    await serve(workers, ask, connect, worker_label=True, body_sizes=True)
    await eventually(lambda: read("http_server_response_body_size_bytes_count"), {None: 4})


@pytest.mark.parametrize("name", ["http_server_active_requests", "http_server_active_streams"])
async def test_active_requests_and_streams_have_the_label_too(name, workers, ask, read):
    seen = []
    measured = MetricsMiddleware(app, registry=workers[0], worker_label=True)
    await ask(measured, "/events", look=lambda: seen.append(read(name)))
    assert seen == [{"0": 1}]


async def test_in_one_process_there_is_no_label(ask, measured, labels):
    await ask(measured(app, worker_label=True))
    assert labels(COUNTS[0]) == [{"method": "GET", "route": "/", "status": "200"}]


def test_applications_of_one_registry_have_the_same_choice(measured):
    measured(app)
    with pytest.raises(DuplicateMetricError):
        measured(app, worker_label=True)


def test_the_option_is_a_flag(measured):
    with pytest.raises(DefinitionError, match="worker_label"):
        measured(app, worker_label="worker")
