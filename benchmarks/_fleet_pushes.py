"""Push for many workers: ``python -m benchmarks._fleet_pushes PROMETHEUS WORKERS``.

The registry of one application is encoded for every worker, by a sink and with an ``instance`` of its own, and sent by
remote write 1.0, four messages at a time. For each line of standard input, the process pushes once for every worker and
prints its counts as JSON.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from collections.abc import Iterator

from asyncmetrics.bridges.push.identity import Identity
from asyncmetrics.bridges.remote_write import RemoteWrite
from asyncmetrics.exposition.gathering import gather_families
from benchmarks._fleet_app import REGISTRY, Shop

AT_A_TIME = 4
COLLECTOR_SECONDS = 10.0


class _Counts:
    """What one round has sent."""

    def __init__(self) -> None:
        self.pushes = self.bytes = self.samples = 0
        self.encoding_seconds = self.seconds = 0.0


async def _push_for(workers: Iterator[tuple[int, RemoteWrite]], now: float, counts: _Counts) -> None:
    """Push for one worker after the other."""
    for number, sink in workers:
        families = await gather_families(REGISTRY, frozenset(), REGISTRY, "skip", COLLECTOR_SECONDS)
        started = time.process_time()
        payload = sink.encode(families, now, Identity("shop", f"worker-{number}"))
        counts.encoding_seconds += time.process_time() - started
        counts.pushes += 1
        counts.bytes += payload.size
        counts.samples += payload.samples
        await sink.send(payload)
        await sink.close()


async def _push_to_all(sinks: list[RemoteWrite]) -> _Counts:
    """Push once for every worker."""
    counts, started, now, each = _Counts(), time.perf_counter(), time.time(), enumerate(sinks)
    await asyncio.gather(*(_push_for(each, now, counts) for _ in range(AT_A_TIME)))
    counts.seconds = time.perf_counter() - started
    return counts


async def _push(base: str, workers: int) -> None:
    shop, tls = Shop(), ssl.create_default_context()
    sinks = [RemoteWrite(f"{base}/api/v1/write", version=1, tls=tls) for _ in range(workers)]
    while await asyncio.to_thread(sys.stdin.readline):
        await shop.visit()
        print(json.dumps(vars(await _push_to_all(sinks))), flush=True)


if __name__ == "__main__":
    asyncio.run(_push(sys.argv[1], int(sys.argv[2])))
