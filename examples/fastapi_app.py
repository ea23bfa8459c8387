"""A FastAPI app measured by one line, asked a few times without a server: the `route` label is the template.

See one line per method, route and status, `/items/{item_id}` instead of `/items/1`, `/items/2` …, and
`<unmatched>` for a path that no route has.
"""

import anyio
import httpx
from fastapi import FastAPI, HTTPException

import asyncmetrics

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
