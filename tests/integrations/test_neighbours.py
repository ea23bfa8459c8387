"""Sentry and Datadog beside us, before and after, each order in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.patience import PATIENCE_SECONDS

pytestmark = [pytest.mark.edge("neighbours"), pytest.mark.slow]

PROGRAM = Path(__file__).with_name("neighbour_program.py")
LIBRARIES = {"sentry": "sentry_sdk", "ddtrace": "ddtrace"}


def run(neighbour, framework, steps):
    pytest.importorskip(framework)
    if find_spec(LIBRARIES[neighbour]) is None:
        pytest.skip(f"{neighbour} is not installed")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(PROGRAM), neighbour, framework, *steps.split()],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# What each neighbour calls a request of /items/1.
NAMES = {
    ("sentry", "fastapi"): "transaction /items/{item}",
    ("sentry", "starlette"): "transaction /items/{item}",
    ("sentry", "quart"): "transaction item",
    ("ddtrace", "fastapi"): "GET /items/{item}",
    ("ddtrace", "starlette"): "GET /items/{item}",
}


ORDERS = ["theirs create ours", "create theirs ours", "create ours theirs"]
# Datadog changes the constructor of Starlette, and a method of FastAPI.
CASES = [
    *[(neighbour, "fastapi", steps) for neighbour in LIBRARIES for steps in ORDERS],
    ("sentry", "starlette", "theirs create ours"),
    ("sentry", "quart", "create ours theirs"),
    ("ddtrace", "starlette", "theirs create ours"),
]


@pytest.mark.parametrize(("neighbour", "framework", "steps"), CASES)
def test_both_see_each_request_in_any_order(neighbour, framework, steps):
    statuses, counted, seen = run(neighbour, framework, steps)
    assert statuses == [200, 500, 200]
    assert counted == {"/items/{item}": "200", "/raising": "500"}
    assert NAMES[neighbour, framework] in seen


@pytest.mark.parametrize("neighbour", LIBRARIES)
def test_without_us_again_the_neighbour_stays(neighbour):
    statuses, counted, seen = run(neighbour, "fastapi", "create ours theirs -ours")
    assert (statuses, counted) == ([200, 500, 404], {})
    assert NAMES[neighbour, "fastapi"] in seen
