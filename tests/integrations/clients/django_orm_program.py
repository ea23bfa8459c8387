"""A program that uses Django's ORM with the database of its first argument, a JSON object, and prints what is counted.

It is a process of its own, since Django has one configuration for a process. The second argument names the steps.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from importlib import import_module

import django
from django.conf import settings

import asyncmetrics
from asyncmetrics.integrations.database import is_owned
from asyncmetrics.metrics.totals import TOTALS, RequestTotals

DATABASE, STEPS = json.loads(sys.argv[1]), sys.argv[2:]
REGISTRY = asyncmetrics.CollectorRegistry()


def count() -> dict[str, float]:
    """Return how many operations ended, by system, operation and outcome."""
    name = "db_client_operation_duration_seconds_count"
    labels = ("system", "operation", "outcome")
    samples = [sample for family in REGISTRY.collect() for sample in family.samples if sample.name == name]
    return {" ".join(sample.labels[label] for label in labels): sample.value for sample in samples}


def start() -> asyncmetrics.Instrumentation:
    """Measure the driver as well: what both count would be counted twice."""
    return asyncmetrics.instrument_all(only=["django", "psycopg"], registry=REGISTRY)


def use_connection() -> None:
    """Run one statement on the connection."""
    from django.db import connection

    connection.ensure_connection()
    assert count() == {}
    with connection.cursor() as cursor:
        cursor.execute(compose() if "composed" in STEPS else "SELECT 1")
        assert cursor.fetchone() == (1,)


def compose() -> object:
    """Return a statement that psycopg composes."""
    from psycopg import sql

    return sql.SQL("/* shop */ SELECT {}").format(1)


def run_orm() -> RequestTotals:
    """Use a model: synchronously, from async code, and under gather."""
    from django.db import connection, models

    class Item(models.Model):  # noqa: DJ008  # it is never shown
        name = models.CharField(max_length=20, unique=True)

        class Meta:
            app_label = "shop"

    with connection.schema_editor() as editor:
        editor.create_model(Item)
    totals = RequestTotals()
    created = count()

    async def use() -> None:
        await Item.objects.acreate(name="a")
        assert (await Item.objects.aget(name="a")).name == "a"
        await asyncio.gather(*(Item.objects.acount() for _ in range(3)))
        assert [item.name async for item in Item.objects.all()] == ["a"]

    TOTALS.set(totals)
    asyncio.run(use())
    print(json.dumps({key: value - created.get(key, 0) for key, value in count().items()}))
    return totals


def main() -> None:
    """Take the steps."""
    early = None
    if "before" in STEPS:
        import_module("django.db")  # before there are settings
        early = start()
    settings.configure(DATABASES={"default": DATABASE}, USE_TZ=True)
    django.setup()
    from django.db import connection

    if "connected" in STEPS:
        connection.ensure_connection()
    instrumentation = early or start()
    if "orm" in STEPS:
        print(json.dumps(run_orm().counts))
    else:
        use_connection()
        if "again" in STEPS:
            connection.close()
            connection.ensure_connection()
        if "thread" in STEPS:
            thread = threading.Thread(target=lambda: (connection.cursor().execute("SELECT 2"), connection.close()))
            thread.start()
            thread.join()
        print(json.dumps(count()))
        print(json.dumps({"owned": is_owned(connection.connection)}))
    instrumentation.undo()
    before = count()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 3")
    assert count() == before
    assert connection.execute_wrappers == []
    assert not is_owned(connection.connection)
    connection.close()


if __name__ == "__main__":
    main()
