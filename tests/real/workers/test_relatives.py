"""The processes that a worker starts, and the processes of a Celery worker."""

from __future__ import annotations

import pytest

from tests.servers.processes import find_free_port, is_listening, run_server
from tests.servers.requirements import require_packages
from tests.servers.worker_servers import HERE, Workers

pytestmark = [pytest.mark.real, pytest.mark.slow]

WAYS = ("fork", "start-fork", "start-spawn", "start-forkserver", "submit-fork", "submit-spawn")


@pytest.mark.parametrize("workers", [1, 2])
def test_the_processes_that_a_worker_starts_share_with_all_workers(place, workers):
    server = Workers("uvicorn", find_free_port(), place)
    command = f"uvicorn parent_app:app --workers {workers} --port {server.port} --log-level critical".split()
    with run_server(command, HERE, server.is_up, XDG_RUNTIME_DIR=str(place)):
        begun = server.value("counted_total")
        for number, way in enumerate(WAYS, 1):
            assert server.get(f"/{way}")[0] == 200
            assert (way, {server.value("counted_total") for _ in range(4)}) == (way, {begun + number})
        assert server.value("held_total") == begun + len(WAYS)


def test_a_celery_worker_exposes_what_its_processes_count(place):
    require_packages(["celery"])
    server = Workers("celery", find_free_port(), place)
    folder = place / "queue"
    folder.mkdir()
    settings = {"CELERY_FOLDER": str(folder), "CELERY_PORT": str(server.port), "XDG_RUNTIME_DIR": str(place)}
    command = "celery -A celery_tasks --quiet worker -c 3 -P prefork --without-gossip --without-mingle -l critical"
    with run_server(command.split(), HERE, lambda: is_listening(server.port), **settings):
        server.await_value(30, "done_total")
        parts = [value for (name, _), value in server.samples().items() if name == "by_process_total"]
        assert (sum(parts), len(parts) > 1) == (30, True)
        assert server.value("asyncmetrics_workers_shared") == 1
