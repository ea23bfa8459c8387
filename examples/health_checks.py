"""A service that says whether it is ready: it depends on a database, and on a bank that closes.

Run it from the root of a clone::

    pip install -e . aiosqlite httpx
    python examples/health_checks.py
"""

import asyncio
import logging
import sys

import aiosqlite
import httpx

from asyncmetrics import generate_latest
from asyncmetrics.jobs import HealthChecks, tcp_check

logging.basicConfig(stream=sys.stdout, format="log: %(message)s")
checks = HealthChecks()


async def ask(path: str) -> None:
    """Ask as Kubernetes does; a service mounts `checks.app`, or serves it by itself."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(checks.app), base_url="http://shop") as probe:
        answer = await probe.get(path)
        print(answer.status_code, answer.text)


async def until(up: bool) -> None:
    """Wait for a result of the bank; a service does not wait for its checks."""
    while checks.read()["bank"].reason == "pending" or (not checks.read()["bank"].reason) != up:
        await asyncio.sleep(0.05)


async def main() -> None:
    """Ask before the first results, then while the bank is open, then after it has closed."""
    bank = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with aiosqlite.connect(":memory:") as database:
        checks.add("database", database)  # a client or a pool is a check by itself
        checks.add("bank", tcp_check("127.0.0.1", bank.sockets[0].getsockname()[1]), interval=0.1)
        async with checks:
            await ask("/ready")
            await until(up=True)
            await ask("/ready")
            bank.close()
            await until(up=False)
            await ask("/ready")
            await ask("/live")
            lines = generate_latest().decode().splitlines()
            print(*(line for line in lines if line.startswith(("health_check_up", "health_check_f"))), sep="\n")


asyncio.run(main())
