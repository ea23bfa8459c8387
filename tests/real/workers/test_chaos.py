"""Workers that are ended at random while they serve: nothing that was answered is lost, and no counter goes back."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.real, pytest.mark.slow]


def settled(server) -> None:
    """Wait until the supervisor has replaced those that ended."""
    server.await_value(3, "asyncmetrics_workers", state="live")


def check(server, tally) -> None:
    counted = server.value("answered_total") - 1  # the request that told that the server was up
    print(f"{server.name}: {tally}; {counted:.0f} counted, {len(server.files())} files")
    assert tally.wrong == []
    assert tally.answered <= counted <= tally.answered + tally.failed
    assert server.value("asyncmetrics_worker_slot_errors_total") == 0
    assert server.value("asyncmetrics_worker_dropped_series_total") == 0


def test_each_worker_has_the_counts_of_all(start, load, name):
    server = start(name)
    tally = load(server, 1, enough=lambda tally: len(tally.pids) == 3)
    assert len(tally.pids) > 1
    assert tally.wrong == []
    assert {server.value("answered_total") for _ in range(20)} == {tally.answered + 1}
    assert server.value("sizes_count") == tally.answered + 1
    assert server.value("serving") == len(tally.pids)
    labels = [dict(key[1]) for key in server.samples() if key[0] == "functional"]
    assert len({label["worker"] for label in labels}) >= 3
    assert server.value("process_threads") >= 3


def test_nothing_is_lost_when_workers_are_ended_at_random(start, load, name, seconds):
    server = start(name)
    files = len(server.files())
    tally = load(server, seconds, ending=True, enough=lambda tally: tally.kills >= 3)
    settled(server)
    assert tally.kills >= 3
    check(server, tally)
    assert len(server.files()) <= files + 8  # a new one may begin before an old one has ended


def test_nothing_is_lost_however_the_server_is_started(start, load, launcher, seconds):
    server = start(launcher)
    files = len(server.files())
    tally = load(server, seconds / 3, ending=True, enough=lambda tally: tally.kills >= 3)
    settled(server)
    check(server, tally)
    assert {server.value("answered_total") for _ in range(10)} == {server.value("answered_total")}  # in each worker
    assert len(server.files()) <= files + 8


def test_nothing_is_lost_when_workers_are_recycled(start, load, name, recycling, seconds):
    server = start(name, recycling)
    tally = load(server, seconds, enough=lambda tally: len(tally.pids) > 3)
    settled(server)
    assert len(tally.pids) > 3  # some were replaced
    check(server, tally)
    assert len(server.files()) <= 16
