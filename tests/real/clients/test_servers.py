"""The servers that the other tests use answer, also after a stop and a start."""

from __future__ import annotations

import psycopg
import pytest
import redis

pytestmark = pytest.mark.real


def test_postgresql_answers_after_a_restart(postgresql):
    for _ in range(2):
        with psycopg.connect(postgresql.dsn) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        postgresql.stop()
        postgresql.start()


def test_redis_answers_after_a_restart(redis_server):
    for _ in range(2):
        with redis.Redis.from_url(redis_server.url) as client:
            assert client.ping()
        redis_server.stop()
        redis_server.start()
