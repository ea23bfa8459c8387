"""`instrument` returns what it takes, and knows the options of each kind of client."""

import asyncio
import logging
import queue
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import anyio
import asyncpg
import httpx
import psycopg
import psycopg_pool
import redis
import redis.asyncio
import requests
import sqlalchemy
import trio
import urllib3
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from starlette.applications import Starlette
from typing_extensions import assert_type

from asyncmetrics import Instrumentation, instrument, instrument_all, uninstrument
from asyncmetrics.runtime import RuntimeMonitor


async def right(pool: asyncpg.Pool, async_pool: psycopg_pool.AsyncConnectionPool) -> None:
    assert_type(instrument(Starlette(), client_totals=True), Starlette)
    assert_type(instrument(Starlette(), runtime=True, stream_after=None), Starlette)
    assert_type(instrument(Starlette(), runtime=RuntimeMonitor()), Starlette)
    assert_type(instrument(httpx.AsyncClient(), server={"10.0.0.7:80": "bank"}), httpx.AsyncClient)
    assert_type(instrument(httpx.Client(), body_sizes=True), httpx.Client)
    assert_type(instrument(httpx.HTTPTransport(), first_byte=True), httpx.HTTPTransport)
    assert_type(instrument(httpx.AsyncHTTPTransport(), first_byte=True), httpx.AsyncHTTPTransport)
    assert_type(instrument(requests.Session(), server=str.upper), requests.Session)
    assert_type(instrument(urllib3.PoolManager(), name="bank"), urllib3.PoolManager)
    assert_type(instrument(sqlalchemy.create_engine("sqlite://"), name="main"), sqlalchemy.Engine)
    assert_type(instrument(create_async_engine("sqlite+aiosqlite://"), name="main"), AsyncEngine)
    assert_type(instrument(async_pool, name="main"), psycopg_pool.AsyncConnectionPool)
    assert_type(instrument(await psycopg.AsyncConnection.connect()), psycopg.AsyncConnection)
    assert_type(instrument(redis.Redis(), name="cache"), redis.Redis)
    assert_type(instrument(logging.getLogger("shop"), namespace="shop"), logging.Logger)
    assert_type(instrument(ThreadPoolExecutor(), name="thumbnails"), ThreadPoolExecutor)
    assert_type(instrument(ProcessPoolExecutor(), name="reports"), ProcessPoolExecutor)
    assert_type(instrument(asyncio.PriorityQueue[int](), name="jobs"), asyncio.PriorityQueue[int])
    assert_type(instrument(queue.Queue[int](), name="jobs"), queue.Queue[int])
    assert_type(instrument(asyncio.Semaphore(3), name="jobs"), asyncio.Semaphore)
    assert_type(instrument(anyio.CapacityLimiter(3), name="jobs"), anyio.CapacityLimiter)
    assert_type(instrument(trio.CapacityLimiter(3), name="jobs"), trio.CapacityLimiter)
    send, receive = anyio.create_memory_object_stream[int](3)
    instrument(send, name="jobs").send_nowait(1)
    assert_type(instrument(receive).receive_nowait(), int)
    assert_type(instrument_all(only=["httpx"]), Instrumentation)
    instrument(redis.asyncio.Redis(), name="cache")
    instrument(pool, name="main")
    uninstrument(pool)


def wrong() -> None:
    instrument(httpx.Client(), path="/metrics")  # type: ignore[call-overload]
    instrument(redis.Redis(), body_sizes=True)  # type: ignore[call-overload]
    instrument(logging.getLogger("shop"), name="shop")  # type: ignore[call-overload]
    instrument(asyncio.Queue[int](), conventions="opentelemetry")  # type: ignore[call-overload]
    instrument(ThreadPoolExecutor(), body_sizes=True)  # type: ignore[call-overload]
    instrument(asyncio.Lock())  # type: ignore[call-overload]
    instrument(42)  # type: ignore[call-overload]
    instrument_all(nspace="shop")  # type: ignore[call-arg]
