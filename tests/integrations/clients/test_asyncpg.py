"""asyncpg without a server: what an instrumented pool and the patched classes look like."""

from __future__ import annotations

import inspect

import asyncpg
import pytest
from asyncpg.cursor import Cursor, CursorIterator
from asyncpg.pool import Pool, PoolConnectionHolder
from asyncpg.prepared_stmt import PreparedStatement

import asyncmetrics

pytestmark = pytest.mark.blocking  # asyncpg looks for files before it connects

CLASSES = (asyncpg.Connection, PreparedStatement, Cursor, CursorIterator, Pool, PoolConnectionHolder)


@pytest.fixture
def measured(registry):
    with asyncmetrics.instrument_all(only=["asyncpg"], registry=registry):
        yield


def test_a_patched_method_keeps_its_name_its_signature_and_its_kind(registry):
    def describe():
        methods = [value for kind in CLASSES for value in vars(kind).values() if inspect.isfunction(value)]
        return [(f.__qualname__, inspect.signature(f), inspect.iscoroutinefunction(f)) for f in methods]

    before = describe()
    with asyncmetrics.instrument_all(only=["asyncpg"], registry=registry):
        assert describe() == before


def test_undo_leaves_the_classes_as_they_were(registry):
    before = [dict(vars(kind)) for kind in CLASSES]
    with asyncmetrics.instrument_all(only=["asyncpg"], registry=registry):
        assert [dict(vars(kind)) for kind in CLASSES] != before
    assert [dict(vars(kind)) for kind in CLASSES] == before


async def test_uninstrument_leaves_the_classes_as_they_were(registry):
    before = [dict(vars(kind)) for kind in CLASSES]
    pool = asyncpg.create_pool("postgresql://localhost")
    assert asyncmetrics.instrument(pool, registry=registry) is pool
    assert asyncmetrics.uninstrument(pool) is pool
    assert [dict(vars(kind)) for kind in CLASSES] == before


async def test_an_unknown_option_is_refused(registry):
    pool = asyncpg.create_pool("postgresql://localhost")
    with pytest.raises(TypeError):
        asyncmetrics.instrument(pool, server="x", registry=registry)


async def test_a_pool_that_is_not_initialized_raises_what_it_raised(measured, registry):
    pool = asyncpg.create_pool("postgresql://localhost")
    with pytest.raises(asyncpg.InterfaceError, match="not initialized"):
        await pool.fetch("SELECT 1")
    assert registry.get_sample_value("asyncmetrics_internal_errors_total", {"where": "integrations.asyncpg"}) is None


async def test_a_server_that_is_not_there_raises_what_it_raised_and_leaves_no_series(measured, registry, tmp_path):
    with pytest.raises(FileNotFoundError):
        await asyncpg.create_pool(host=str(tmp_path), user="u", database="d")
    assert [f.name for f in registry.collect() for s in f.samples if s.labels.get("pool")] == []


async def test_a_failed_pool_that_is_measured_alone_is_forgotten(registry, tmp_path):
    before = [dict(vars(kind)) for kind in CLASSES]
    pool = asyncmetrics.instrument(asyncpg.create_pool(host=str(tmp_path), user="u", database="d"), registry=registry)
    with pytest.raises(FileNotFoundError):
        await pool
    assert [dict(vars(kind)) for kind in CLASSES] == before
