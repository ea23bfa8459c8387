"""A shop as a team would write it: PostgreSQL, a cache in Redis, a bank over HTTP. Two lines measure all of it.

It is a program of its own: the addresses come from the environment.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import redis.asyncio
from fastapi import FastAPI, HTTPException
from sqlalchemy import ForeignKey, func, select, text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import asyncmetrics

asyncmetrics.instrument_all(server={os.environ["BANK"].removeprefix("http://"): "bank"})

engine = create_async_engine(os.environ["DATABASE"], pool_size=2, max_overflow=0, pool_timeout=60)
sessions = async_sessionmaker(engine)
cache = redis.asyncio.Redis.from_url(os.environ["CACHE"])
bank = httpx.AsyncClient(base_url=os.environ["BANK"])


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with sessions.begin() as session:
        session.add_all([Customer(id=number) for number in range(15)])
        await session.flush()
        session.add_all([Order(id=number, customer_id=number) for number in range(15)])
    yield
    await bank.aclose()
    await cache.aclose()
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
asyncmetrics.instrument(app, client_totals=True)


@app.get("/orders/{number}")
async def order(number: int) -> dict[str, str]:
    """Read an order, from the cache if it is there."""
    cached = await cache.get(f"order:{number}")
    if cached is None:
        async with sessions() as session:
            found = await session.get(Order, number)
        cached = f"customer {found and found.customer_id}".encode()
        await cache.set(f"order:{number}", cached)
    return {"order": cached.decode()}


@app.get("/history")
async def history() -> int:
    """Ask the database once for each customer, which it should not."""
    async with sessions() as session:
        customers = (await session.scalars(select(Customer))).all()
        counts = select(func.count()).select_from(Order)
        return sum([await session.scalar(counts.where(Order.customer_id == one.id)) or 0 for one in customers])


@app.get("/report")
async def report() -> str:
    """Hold a connection for a while."""
    async with sessions() as session:
        await session.execute(text("SELECT pg_sleep(0.05)"))
    return "done"


@app.post("/payments")
async def pay() -> dict[str, str]:
    """Let the bank take the money, which fails now and then."""
    response = await bank.post("/payments")
    if response.is_error:
        raise HTTPException(502, "The bank does not take it.")
    return {"paid": "yes"}
