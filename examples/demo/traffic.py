"""Light traffic: a few dozen requests a second, most of them for products.

The customers use no library for HTTP: they live in the process of the shop, where ``instrument_all`` would measure it.
"""

import random

import anyio

CUSTOMERS = 8
CHOICES: dict[tuple[str, str], int] = {
    ("GET", "/"): 4,
    ("GET", "/products/{}"): 10,
    ("POST", "/baskets/{}/items"): 4,
    ("GET", "/baskets/{}"): 2,
    ("POST", "/baskets/{}/payment"): 2,
    ("GET", "/search"): 2,
    ("GET", "/export/{}.csv"): 1,
    ("GET", "/wp-login.php"): 1,  # every shop gets such requests
}


async def visit(address: str, method: str, path: str) -> None:
    """Send a request, and read the response to its end; wait for a moment if the shop is not there."""
    host, _, port = address.rpartition(":")
    head = f"{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    try:
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(head.encode())
            async for _ in stream:
                pass
    except (OSError, anyio.BrokenResourceError):
        await anyio.sleep(1)


async def browse(address: str) -> None:
    """Run one customer: send a request, wait for a moment, send the next one."""
    while True:
        ((method, path),) = random.choices(list(CHOICES), list(CHOICES.values()))
        await visit(address, method, path.format(random.randrange(1, 100)))
        await anyio.sleep(random.expovariate(5))


async def read_news(address: str) -> None:
    """Read one stream after the other."""
    while True:
        await visit(address, "GET", "/news")


async def run_customers(address: str) -> None:
    """Run all customers and a reader of news until the caller cancels them."""
    async with anyio.create_task_group() as tasks:
        for _ in range(CUSTOMERS):
            tasks.start_soon(browse, address)
        tasks.start_soon(read_news, address)
