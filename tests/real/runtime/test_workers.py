"""One of three workers blocks its event loop: the scrapes that another worker answers show which one, and where."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.patience import wait_until
from tests.servers.requirements import require_packages
from tests.servers.uvicorn_workers import connect_to_each, run_uvicorn_workers

pytestmark = [pytest.mark.real, pytest.mark.slow]

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

LAGS = "event_loop_lag_seconds_count"
BEATS = 12  # of the other loops during the block, of which ten take a second: so long does the block last at least


class Story(NamedTuple):
    """The number of the worker that blocked, and scrapes of another one before, during and after the block."""

    slot: str
    before: Samples
    during: Samples
    after: Samples

    def gains(self, name: str, label: str, until: Samples) -> dict[str, float]:
        """Return by how much the samples of a name have grown since the first scrape, by one label."""
        before, now = read(self.before, name, label), read(until, name, label)
        return {key: value - before.get(key, 0) for key, value in now.items()}


def read(samples: Samples, name: str, label: str) -> dict[str, float]:
    """Return the values of a name, added up by one label."""
    found: dict[str, float] = defaultdict(float)
    for (sample, labels), value in samples.items():
        if sample == name:
            found[dict(labels).get(label, "")] += value
    return dict(found)


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def loop(request) -> str:
    """The kind of the event loops."""
    return request.param


@pytest.fixture(scope="module")
def story(loop, tmp_path_factory) -> Iterator[Story]:
    """Block one loop until another worker exposes it, and the other loops have gone on for a second."""
    require_packages([loop])
    place = tmp_path_factory.mktemp("workers")
    gate = place / "gate"
    with (
        run_uvicorn_workers("runtime_app", 3, place, "--loop", loop) as server,
        connect_to_each(server, 3) as (blocked, other, _),
    ):
        slots = {pid: slot for slot, pid in read(other.samples(), "process_id", "worker").items()}
        slot = slots[blocked.pid]
        before = wait_until(other.samples, lambda samples: len(read(samples, LAGS, "worker")) == 3)

        def is_seen(samples: Samples) -> bool:
            beats = story.gains(LAGS, "worker", samples)
            blocks = read(samples, "event_loop_blocked_seconds_total", "function")
            return min(beats[key] for key in beats if key != slot) > BEATS and "runtime_app:wait_for_file" in blocks

        story = Story(slot, before, {}, {})
        blocked.begin(f"/block?until={gate}")
        try:
            during = wait_until(other.samples, is_seen)
        finally:
            gate.touch()
        assert blocked.finish() == (200, "done")
        beats = read(during, LAGS, "worker")[slot]
        after = wait_until(other.samples, lambda samples: read(samples, LAGS, "worker")[slot] > beats)
        yield Story(slot, before, during, after)


def find_largest(gains: dict[str, float]) -> str:
    """Return the key of the largest value."""
    return max(gains, key=lambda key: gains[key])


def test_another_worker_exposes_the_function_that_blocks_a_loop_while_it_does(story):
    gains = story.gains("event_loop_blocked_seconds_total", "function", story.during)
    assert find_largest(gains) == "runtime_app:wait_for_file"


def test_the_lag_is_that_of_the_worker_that_was_blocked(story):
    """A loop that runs has waited for a second meanwhile, so its timers are late by a second less than the block."""
    assert find_largest(story.gains("event_loop_lag_seconds_sum", "worker", story.after)) == story.slot


def test_the_busy_time_is_that_of_the_worker_that_was_blocked(story, loop):
    gains = story.gains("event_loop_busy_seconds_total", "worker", story.after)
    assert (find_largest(gains) if gains else None) == (story.slot if loop == "asyncio" else None)


def test_the_duration_of_a_request_has_the_label_of_its_worker(story):
    name = "http_server_request_duration_seconds_count"
    blocks = {key: value for key, value in story.after.items() if key[0] == name and ("route", "/block") in key[1]}
    assert read(blocks, name, "worker") == {story.slot: 1}
    assert set(read(story.after, name, "worker")) == {"0", "1", "2"}
