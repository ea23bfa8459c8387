"""A connection of Django as a health check, in a process of its own: Django has one configuration for a process."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.patience import PROGRAM_SECONDS

pytest.importorskip("django")

PROGRAM = """
import asyncio, json, pathlib, sys

import django
from django.conf import settings

folder = pathlib.Path(sys.argv[1])
database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "shop.db")}
settings.configure(DATABASES={"default": database, "other": {**database, "NAME": str(folder / "none" / "shop.db")}})
django.setup()
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from asyncmetrics.jobs import HealthChecks

opened, close = [], BaseDatabaseWrapper.close


def count_close(self):
    opened.append(self.connection is not None)
    close(self)


BaseDatabaseWrapper.close = count_close


async def run():
    checks = HealthChecks()
    checks.add("default", connection, timeout=60)
    checks.add("other", connections["other"], timeout=60)
    async with checks:
        while any(result.reason == "pending" for result in checks.read().values()):
            await asyncio.sleep(0.01)
        return {name: result.reason for name, result in checks.read().items()}


print(json.dumps([asyncio.run(run()), sorted(opened)]))
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path_factory.mktemp("database"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_connection_of_django_is_up_if_its_database_can_be_opened(outcome):
    assert outcome[0] == {"default": "", "other": "error"}


def test_a_check_closes_the_connection_of_its_thread(outcome):
    assert outcome[1] == [False, True]
