"""A collector, which reads numbers of another system at the time of a scrape; this one is async.

Nothing is read before the scrape. The families in the output have the types that Prometheus shows.

Run it from the root of a clone::

    pip install -e .
    python examples/custom_collector.py
"""

from collections.abc import AsyncIterator

import anyio

from asyncmetrics import REGISTRY, generate_latest
from asyncmetrics.core import CounterMetricFamily, GaugeMetricFamily, Metric


async def read_queue_sizes() -> dict[str, int]:
    """Return the sizes of the queues, after a simulated round trip to a broker."""
    await anyio.sleep(0.01)
    return {"mail": 3, "invoices": 14}


class QueueCollector:
    """Yield the sizes of the broker's queues at the time of the scrape."""

    async def collect(self) -> AsyncIterator[Metric]:
        waiting = GaugeMetricFamily("queue_waiting_jobs", "Jobs that wait.", labels=["queue"])
        for queue, size in (await read_queue_sizes()).items():
            waiting.add_metric([queue], size)
        yield waiting
        yield CounterMetricFamily("queue_jobs", "Jobs seen so far.", value=1729)

    def describe(self) -> list[Metric]:
        return [GaugeMetricFamily("queue_waiting_jobs", "Jobs that wait."), CounterMetricFamily("queue_jobs", "…")]


REGISTRY.register(QueueCollector())
print(*(line for line in generate_latest().decode().splitlines() if "queue" in line), sep="\n")
