"""A label that is bound once, far up the call stack, and read by every metric that declares it.

`charge` does not mention the tenant, but the output has one series for each tenant. Tasks inherit the labels that their
parent has bound, and do not see the labels of other tasks.

Run it from the root of a clone::

    pip install -e .
    python examples/context_labels.py
"""

import anyio

from asyncmetrics import Counter, bound_labels, generate_latest

charges = Counter("charges_total", "Charges made.", ["currency"], context_labels=["tenant"])


async def charge(currency: str) -> None:
    await anyio.sleep(0)
    charges.labels(currency).inc()


async def serve(tenant: str, amount: int) -> None:
    with bound_labels(tenant=tenant):
        async with anyio.create_task_group() as tasks:
            for _ in range(amount):
                tasks.start_soon(charge, "EUR")


async def main() -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, "acme", 3)
        tasks.start_soon(serve, "initech", 2)
    await charge("USD")  # no tenant is bound, so the label is empty
    print(*(line for line in generate_latest().decode().splitlines() if line.startswith("charges")), sep="\n")


anyio.run(main)
