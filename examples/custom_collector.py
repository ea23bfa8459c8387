"""Numbers that live somewhere else, read when somebody asks: a collector, here an async one.

See that nothing is counted until the scrape, and that the families have the types Prometheus will show.
"""

from collections.abc import AsyncIterator

import anyio

from asyncmetrics import REGISTRY, generate_latest
from asyncmetrics.core import CounterMetricFamily, GaugeMetricFamily, Metric


async def queue_sizes() -> dict[str, int]:
    """Stand in for the round trip to a broker."""
    await anyio.sleep(0.01)
    return {"mail": 3, "invoices": 14}


class QueueCollector:
    """Report the broker's queues as they are at the time of the scrape."""

    async def collect(self) -> AsyncIterator[Metric]:
        waiting = GaugeMetricFamily("queue_waiting_jobs", "Jobs that wait.", labels=["queue"])
        for queue, size in (await queue_sizes()).items():
            waiting.add_metric([queue], size)
        yield waiting
        yield CounterMetricFamily("queue_jobs", "Jobs ever seen.", value=1729)

    def describe(self) -> list[Metric]:
        return [GaugeMetricFamily("queue_waiting_jobs", "Jobs that wait."), CounterMetricFamily("queue_jobs", "…")]


REGISTRY.register(QueueCollector())
print(*(line for line in generate_latest().decode().splitlines() if "queue" in line), sep="\n")
