"""A FastAPI application that one line measures; the program sends it a few requests without a server.

The output has one line for each method, route and status. The `route` label is the template `/items/{item_id}` instead
of `/items/1`, `/items/2` …, and `<unmatched>` for a path without a route.

Run it from the root of a clone::

    pip install -e ".[fastapi]" httpx
    python examples/fastapi_app.py
"""

import sys

try:
    import anyio
    import httpx
    from fastapi import FastAPI, HTTPException

    import asyncmetrics
except ModuleNotFoundError as missing:
    sys.exit(f"""{missing}: run `pip install -e ".[fastapi]" httpx` in the root of the clone""")

app = FastAPI()
asyncmetrics.instrument(app)


@app.get("/items/{item_id}")
async def item(item_id: int) -> dict[str, int]:
    if item_id > 99:
        raise HTTPException(status_code=404, detail="There are 99 items.")
    await anyio.sleep(0.01)
    return {"item": item_id}


async def main() -> None:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        for path in ("/items/1", "/items/2", "/items/100", "/nowhere"):
            await client.get(path)
        exposition = (await client.get("/metrics")).text
    print(*(line for line in exposition.splitlines() if "duration_seconds_count{" in line), sep="\n")


anyio.run(main)
