"""Django's ORM on SQLite: each statement is one operation, on connections from before and from later on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

django = pytest.importorskip("django")

from django.db import IntegrityError, OperationalError  # noqa: E402
from django.db.backends.base.base import BaseDatabaseWrapper  # noqa: E402
from django.db.backends.signals import connection_created  # noqa: E402
from django.db.utils import ConnectionHandler  # noqa: E402

import asyncmetrics  # noqa: E402
from asyncmetrics.integrations.database import DatabaseMetrics  # noqa: E402
from tests.growth import count_objects, find_growth  # noqa: E402
from tests.patience import PROGRAM_SECONDS  # noqa: E402

ROOT = Path(__file__).parents[3]


def run_program(database, *steps):
    """Run the program, and return what it printed."""
    program = Path(__file__).with_name("django_orm_program.py")
    arguments = [sys.executable, "-W", "error", str(program), json.dumps(database), *steps]
    done = subprocess.run(
        arguments, capture_output=True, text=True, timeout=PROGRAM_SECONDS, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def connection(tmp_path):
    """A connection to a database that no settings name."""
    django.setup()
    handler = ConnectionHandler({"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": tmp_path / "test.db"}})
    yield handler["default"]
    handler["default"].close()


@pytest.fixture
def everything(registry):
    with asyncmetrics.instrument_all(only=["django"], registry=registry) as instrumentation:
        yield instrumentation


@pytest.fixture
def counted(samples):
    return lambda: samples("db_client_operation_duration_seconds_count", "operation", "outcome")


def execute(connection, statement="SELECT 1", parameters=None):
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchone()


@pytest.mark.usefixtures("everything")
def test_each_statement_is_one_operation(connection, counted):
    assert execute(connection) == (1,)
    execute(connection, "CREATE TABLE items (name TEXT UNIQUE)")
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO items VALUES (%s)", [("a",), ("b",)])
    assert counted() == {("SELECT", "ok"): 1, ("CREATE", "ok"): 1, ("INSERT", "ok"): 1}


@pytest.mark.usefixtures("everything")
def test_an_error_reaches_the_application_as_it_was_and_is_counted_by_its_type(connection, samples, counted):
    with pytest.raises(OperationalError, match="syntax error"):
        execute(connection, "DELETE FROM nothing")
    assert counted() == {("DELETE", "error"): 1}
    types = samples("db_client_operation_exceptions_total", "operation", "type")
    assert types == {("DELETE", "OperationalError"): 1}
    assert samples("db_client_operation_active", "system") == {("sqlite",): 0}


@pytest.mark.usefixtures("everything")
def test_a_refused_row_is_an_error_of_djangos_type(connection, samples):
    execute(connection, "CREATE TABLE items (name TEXT UNIQUE)")
    execute(connection, "INSERT INTO items VALUES ('a')")
    with pytest.raises(IntegrityError):
        execute(connection, "INSERT INTO items VALUES ('a')")
    types = samples("db_client_operation_exceptions_total", "operation", "type")
    assert types == {("INSERT", "IntegrityError"): 1}


def test_the_wrapper_of_an_application_stays_where_it_is(connection, everything, counted):
    heard = []

    def hear(execute, sql, params, many, context):
        heard.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(hear):
        execute(connection, "SELECT 1")  # makes the connection, and so adds our wrapper, inside of the block
    execute(connection, "SELECT 2")
    everything.undo()
    execute(connection, "SELECT 3")
    assert heard == ["SELECT 1"]
    assert counted() == {("SELECT", "ok"): 2}


def test_undoing_leaves_nothing_behind(connection, registry):
    classes = dict(vars(BaseDatabaseWrapper))
    receivers = list(connection_created.receivers)
    with asyncmetrics.instrument_all(only=["django"], registry=registry):
        execute(connection)
        assert len(connection.execute_wrappers) == 1
        assert dict(vars(BaseDatabaseWrapper)) != classes
        assert connection_created.receivers != receivers
    assert connection.execute_wrappers == []
    assert dict(vars(BaseDatabaseWrapper)) == classes
    assert connection_created.receivers == receivers


@pytest.mark.usefixtures("everything")
def test_a_connection_that_connects_again_counts_once(connection, counted):
    for _ in range(3):
        execute(connection)
        connection.close()
    assert counted() == {("SELECT", "ok"): 3}


@pytest.mark.usefixtures("everything")
def test_the_statements_that_set_a_connection_up_are_not_those_of_the_application(connection, counted, monkeypatch):
    set_up = type(connection).init_connection_state

    def init_connection_state(self):
        set_up(self)
        execute(self, "PRAGMA user_version")

    monkeypatch.setattr(type(connection), "init_connection_state", init_connection_state)
    for _ in range(2):
        execute(connection)
        connection.close()
    assert counted() == {("SELECT", "ok"): 2}


@pytest.mark.usefixtures("everything")
def test_the_system_of_oracle_is_named_as_opentelemetry_names_it(connection, samples, monkeypatch):
    monkeypatch.setattr(connection, "vendor", "oracle")
    execute(connection)
    assert samples("db_client_operation_duration_seconds_count", "system") == {("oracle.db",): 1}


@pytest.mark.usefixtures("everything")
def test_a_fault_of_the_metrics_costs_no_statement(connection, registry, monkeypatch):
    def fail(*_):
        raise ValueError

    monkeypatch.setattr(DatabaseMetrics, "measure", fail)
    assert execute(connection) == (1,)
    assert registry.get_sample_value("asyncmetrics_internal_errors_total", {"where": "integrations.django"}) == 1


@pytest.mark.usefixtures("everything")
def test_objects_do_not_grow_with_calls(connection):
    def count(calls):
        for _ in range(calls):
            execute(connection)
        return count_objects()

    count(10)
    assert find_growth([count(400) for _ in range(4)]) < 20  # sqlite3 frees cursors at every 200th


@pytest.mark.parametrize("steps", [("before",), ("connected",), ("again",)])
def test_connections_from_before_and_from_later_on_are_measured(tmp_path, steps):
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "test.db")}
    assert run_program(database, *steps)[0] == {"sqlite SELECT ok": 1}


def test_connections_of_other_threads_are_measured(tmp_path):
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "test.db")}
    assert run_program(database, "thread")[0] == {"sqlite SELECT ok": 2}


def test_the_queries_of_async_code_are_operations_and_belong_to_its_request(tmp_path):
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "test.db")}
    counts, totals = run_program(database, "orm")
    assert {key: value for key, value in counts.items() if value} == {"sqlite INSERT ok": 1, "sqlite SELECT ok": 5}
    assert totals == {"db": 6}


@pytest.mark.usefixtures("everything")
def test_a_connection_that_cannot_be_made_is_a_failed_connect(tmp_path, counted):
    django.setup()
    settings = {"ENGINE": "django.db.backends.sqlite3", "NAME": tmp_path / "absent" / "test.db"}
    with pytest.raises(OperationalError):
        execute(ConnectionHandler({"default": settings})["default"])
    assert counted() == {("CONNECT", "error"): 1}
