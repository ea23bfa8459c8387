"""A worker that takes over from one that has ended: what it sends of the numbers that both have counted."""

from __future__ import annotations

import os

import anyio
import pytest

from asyncmetrics import CollectorRegistry, Counter
from asyncmetrics.bridges import Pusher
from asyncmetrics.storage import SharedStorage
from tests.bridges.push.test_pusher import ChangesSink
from tests.forks import run_forked

pytestmark = pytest.mark.blocking  # a worker attaches to its files on the loop


def make_shared(path):
    """Return a registry whose storage shares, as a worker has it, and its counter."""
    registry = CollectorRegistry(storage=SharedStorage(path))
    return registry, Counter("orders", "Orders.", registry=registry)


def lead_and_end_without_release(path):
    registry, orders = make_shared(path)
    orders.inc(5)
    assert registry.lead("push").is_leader()
    os._exit(0)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_worker_that_takes_over_sends_only_what_has_changed_since(backend, tmp_path):
    path = str(tmp_path / "shared")
    run_forked(lambda: lead_and_end_without_release(path))
    registry, orders = make_shared(path)
    sink = ChangesSink()

    async def main():
        async with Pusher(sink, registry, interval=600, instance="here:0"):
            while not sink.collected:
                await anyio.sleep(0.01)
            orders.inc(3)

    anyio.run(main, backend=backend)
    assert sink.collected == [5, 8]
    assert sink.sent == [(2, 3.0)]
