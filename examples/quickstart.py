"""Run me, open http://127.0.0.1:8000/orders/7 a few times, then http://127.0.0.1:8000/metrics."""

import uvicorn
from fastapi import FastAPI

from asyncmetrics import Counter, instrument

app = instrument(FastAPI())
orders = Counter("shop_orders_total", "Orders looked at.", ["kind"])


@app.get("/orders/{number}")
async def order(number: int) -> dict[str, int]:
    orders.labels("retail").inc()
    return {"order": number}


uvicorn.run(app, port=8000)
