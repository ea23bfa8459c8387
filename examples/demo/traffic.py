"""Light traffic: a few dozen requests a second, most of them for products."""

import random

import anyio
import httpx

CUSTOMERS = 8
CHOICES: dict[tuple[str, str], int] = {
    ("GET", "/"): 4,
    ("GET", "/products/{}"): 10,
    ("POST", "/baskets/{}/items"): 4,
    ("POST", "/baskets/{}/payment"): 2,
    ("GET", "/search"): 2,
    ("GET", "/export/{}.csv"): 1,
    ("GET", "/wp-login.php"): 1,  # every shop gets such requests
}


async def browse(client: httpx.AsyncClient) -> None:
    """Run one customer: send a request, wait for a moment, send the next one."""
    while True:
        ((method, path),) = random.choices(list(CHOICES), list(CHOICES.values()))
        try:
            await client.request(method, path.format(random.randrange(1, 100)))
        except httpx.TransportError:
            await anyio.sleep(1)
        await anyio.sleep(random.expovariate(5))


async def read_news(client: httpx.AsyncClient) -> None:
    """Read one stream after the other."""
    while True:
        try:
            await client.get("/news")
        except httpx.TransportError:
            await anyio.sleep(1)


async def run_customers(base: str) -> None:
    """Run all customers and a reader of news until the caller cancels them."""
    async with httpx.AsyncClient(base_url=base, timeout=30) as client, anyio.create_task_group() as tasks:
        for _ in range(CUSTOMERS):
            tasks.start_soon(browse, client)
        tasks.start_soon(read_news, client)
