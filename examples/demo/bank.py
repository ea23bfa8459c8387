"""The bank: a small service of its own, which the shop calls by httpx. It measures nothing."""

import random

import anyio
from fastapi import FastAPI, HTTPException

app = FastAPI(title="A bank")


@app.post("/charges")
async def charge() -> dict[str, str]:
    """Fail sometimes, as banks do."""
    await anyio.sleep(random.expovariate(50))
    if random.random() < 0.2:
        raise HTTPException(status_code=503, detail="Try again.")
    return {"charged": "yes"}
