"""A registry that is pushed by DogStatsD, over UDP, and received into another one: out and in.

In production, the two are different programs, or one of them is another system. Each other sink is used in the same
way: `RemoteWrite`, `OTLP`, `Graphite`, `Pushgateway`.

Run it from the root of a clone::

    pip install -e .
    python examples/pushing.py
"""

import anyio

from asyncmetrics import CollectorRegistry, Counter, generate_latest
from asyncmetrics.bridges import Pusher
from asyncmetrics.bridges.statsd import StatsD
from asyncmetrics.bridges.statsd_server import StatsDServer

shop, received = CollectorRegistry(), CollectorRegistry()
orders = Counter("orders_total", "Orders taken.", ["kind"], registry=shop)


async def main() -> None:
    """Push twice: by a call, and at the end of the pusher."""
    async with StatsDServer(0, registry=received) as server:
        sink = StatsD("127.0.0.1", server.port, tags="datadog", labels={"job": "shop", "instance": "a"})
        async with Pusher(sink, shop, families=["orders"]) as pusher:
            orders.labels("retail").inc(3)
            await pusher.push()
            orders.labels("retail").inc()  # the next push sends what has changed since


anyio.run(main)
print(*(line for line in generate_latest(received).decode().splitlines() if line.startswith("orders")), sep="\n")
print(*(line for line in generate_latest(shop).decode().splitlines() if "_push_total" in line), sep="\n")
