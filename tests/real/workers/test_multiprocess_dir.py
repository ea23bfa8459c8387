"""Workers under PROMETHEUS_MULTIPROC_DIR, in a directory of root with mode 777, as in a pod."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.other_users import OTHER_USER, RUN_AS_OTHER, require_other_user
from tests.patience import wait_until
from tests.servers.processes import find_free_port, run_server
from tests.servers.worker_servers import HERE, Workers

pytestmark = [pytest.mark.real, pytest.mark.slow]

IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture
def folder(place) -> Path:
    """The directory of the variable."""
    path = place / "multiprocess"
    path.mkdir()
    path.chmod(0o777)
    return path


@pytest.fixture
def start_as_other(place, folder) -> Iterator[Callable[..., Workers]]:
    """Start three workers of uvicorn, as another user if that is allowed: ``start_as_other("worker_app")``."""
    if IS_ROOT:
        require_other_user()
    with ExitStack() as stack:

        def start(application: str, **variables: str) -> Workers:
            server = Workers("uvicorn", find_free_port(), place)
            command = f"uvicorn {application}:app --workers 3 --port {server.port} --log-level critical --no-access-log"
            words = [*([*RUN_AS_OTHER[1:], "-m"] if IS_ROOT else []), *command.split()]
            variables = variables or {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
            server.process = stack.enter_context(run_server(words, HERE, server.is_up, **variables))
            return server

        yield start


@pytest.mark.parametrize("application", ["worker_app", "collector_app"])
def test_nothing_is_lost_when_workers_are_killed(start_as_other, folder, load, seconds, application):
    """Whether the application uses our exposition, or that of prometheus_client's multiprocess mode."""
    server = start_as_other(application)
    tally = load(server, seconds, ending=True, enough=lambda tally: tally.kills >= 3 and len(tally.pids) > 3)
    server.await_value(3, "asyncmetrics_workers", state="live")
    counted = server.value("answered_total") - 1  # the request that told that the server was up
    print(f"{application}: {tally}; {counted:.0f} counted")
    assert tally.wrong == []
    assert tally.answered <= counted <= tally.answered + tally.failed
    assert {server.value("answered_total") for _ in range(10)} == {counted + 1}
    assert {server.value("asyncmetrics_worker_dropped_series_total")} == {0}
    (made,) = folder.iterdir()
    assert (made.name, made.stat().st_mode & 0o777) == (
        f"asyncmetrics-{OTHER_USER if IS_ROOT else os.geteuid()}",
        0o700,
    )


@pytest.mark.parametrize("launcher", ["gunicorn-preload", "gunicorn-program", "granian-program"])
def test_a_supervisor_that_has_the_metrics_is_no_worker(start, folder, launcher):
    server = start(launcher, PROMETHEUS_MULTIPROC_DIR=str(folder))
    for number in range(20):
        server.get(f"/items/{number}")
    server.await_value(3, "asyncmetrics_workers", state="live")
    assert {server.value("answered_total") for _ in range(10)} == {21}


def test_an_entrypoint_may_empty_the_directory_while_workers_live(start_as_other, folder, load):
    server = start_as_other("collector_app")
    tally = load(server, 1, enough=lambda tally: len(tally.pids) == 3)
    expected = server.value("answered_total")
    assert expected == tally.answered + 1
    for _ in range(3):
        subprocess.run(f"rm -rf {folder}/*", shell=True, check=True)
        server.await_value(expected, "answered_total")
        server.await_value(expected, "own_total")
        server.await_value(3, "asyncmetrics_workers", state="live")


def count_in_several(server: Workers) -> int:
    """Ask until two workers have answered, and return how many answers there were."""
    pids: list[str] = []

    def ask() -> set[str]:
        pids.append(server.get("/items/1")[1])
        return {*pids}

    wait_until(ask, lambda found: len(found) > 1)
    return len(pids) + 1  # with the request that told that the server was up


def test_the_bridge_exposes_the_numbers_of_all_workers(start_as_other):
    """Of prometheus_client's metrics, through its multiprocess mode."""
    server = start_as_other("bridge_app")
    answered = count_in_several(server)
    assert {server.value("theirs_total") for _ in range(10)} == {answered} == {server.value("answered_total")}
    assert server.value("asyncmetrics_single_worker_collections_total") == 0


def test_the_bridge_counts_that_it_exposes_one_worker(start_as_other, place):
    """Without prometheus_client's multiprocess mode, no process has all of its numbers."""
    (place / "runtime").mkdir()
    (place / "runtime").chmod(0o777)
    server = start_as_other("bridge_app", XDG_RUNTIME_DIR=str(place / "runtime"))
    answered = count_in_several(server)
    assert all(server.value("theirs_total") < server.value("answered_total") == answered for _ in range(10))
    # A scrape that finds the collector at work shares what it returns, so there may be fewer collections than scrapes.
    assert server.value("asyncmetrics_single_worker_collections_total") >= 10
