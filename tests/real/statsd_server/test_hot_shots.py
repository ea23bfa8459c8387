"""hot-shots, the client of DogStatsD for Node, against the server.

``ASYNCMETRICS_NODE_MODULES`` is the ``node_modules`` folder that has hot-shots.
"""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from asyncmetrics.bridges.statsd_server import StatsDServer
from tests.patience import PATIENCE_SECONDS, eventually
from tests.servers.requirements import find_program

pytestmark = pytest.mark.real

NODE_MODULES = os.environ.get("ASYNCMETRICS_NODE_MODULES", "")
CLIENT = """
const StatsD = require(process.argv[1] + '/hot-shots');
const client = new StatsD({port: +process.argv[2], globalTags: {env: 'test'}, maxBufferSize: 1432});
for (let i = 0; i < 1000; i++) client.increment('jobs.done', 1, {queue: 'mail'});
client.decrement('depth'); client.gauge('temperature', 21.5); client.gaugeDelta('temperature', -1.5);
client.timing('latency', 250); client.histogram('size', 3); client.distribution('spread', 4);
client.set('users', 'joe'); client.set('users', 'ann'); client.unique('users', 'joe');
client.event('deploy', 'text'); client.check('service', 0);
client.close(error => { if (error) throw error; });
"""
EXPECTED = {
    ("jobs_done_total", "mail"): 1000,
    ("temperature", None): 20,
    ("latency_sum", None): 0.25,
    ("size_sum", None): 3,
    ("spread_sum", None): 4,
    ("users", None): 2,
}


@pytest.mark.skipif(not NODE_MODULES, reason="ASYNCMETRICS_NODE_MODULES is not set")
def test_what_hot_shots_sends_is_exposed(registry, run):
    assert (Path(NODE_MODULES) / "hot-shots").is_dir()
    node = find_program("node")

    def count(outcome):
        return registry.get_sample_value("asyncmetrics_statsd_lines_total", {"outcome": outcome})

    async def main():
        async with StatsDServer(0, registry=registry) as server:
            command = [node, "-e", CLIENT, NODE_MODULES, str(server.port)]
            with anyio.fail_after(PATIENCE_SECONDS):
                await anyio.run_process(command)
            await eventually(lambda: count("ok"), 1008)

    run(main)
    found = {
        (name, queue): registry.get_sample_value(name, {"env": "test", **({"queue": queue} if queue else {})})
        for name, queue in EXPECTED
    }
    assert found == EXPECTED
    # `decrement` sends a negative counter.
    assert [count(outcome) for outcome in ("value", "event", "service_check", "malformed")] == [1, 1, 1, 0]
