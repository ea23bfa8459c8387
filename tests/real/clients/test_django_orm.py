"""Django's ORM over psycopg on a real PostgreSQL: each query is one operation, of Django and not of the driver."""

from __future__ import annotations

import pytest

pytest.importorskip("django")

from tests.integrations.clients.test_django_orm import run_program  # noqa: E402

pytestmark = pytest.mark.real


@pytest.fixture
def database(postgresql):
    host = postgresql.query.removeprefix("host=")
    return {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": "postgres", "HOST": host}


@pytest.mark.parametrize("steps", [("before",), ("connected",), ("again",)])
def test_only_the_statements_of_the_application_are_operations(database, steps):
    counts, owned = run_program(database, *steps)
    assert counts == {"postgresql SELECT ok": 1}
    assert owned == {"owned": True}


def test_the_queries_of_async_code_are_operations_and_belong_to_its_request(database):
    counts, totals = run_program(database, "orm")
    assert {key: value for key, value in counts.items() if value} == {
        "postgresql INSERT ok": 1,
        "postgresql SELECT ok": 5,
    }
    assert totals == {"db": 6}


def test_a_statement_that_psycopg_composes_has_its_first_word(database):
    counts = run_program(database, "composed")[0]
    assert counts == {"postgresql SELECT ok": 1}
