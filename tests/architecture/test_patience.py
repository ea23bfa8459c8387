"""No test stops waiting after a few seconds: such a test fails on a busy machine."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, settings

from tests.patience import PATIENCE_SECONDS

TESTS = Path(__file__).parents[1]
# Keywords, and functions with the position of their argument, that say when a wait gives up.
KEYWORDS = {"timeout", "open_timeout", "close_timeout", "ping_timeout"}
POSITIONS = {
    "alarm": 0,
    "communicate": 1,
    "create_connection": 1,
    "fail_after": 0,
    "join": 0,
    "move_on_after": 0,
    "settimeout": 0,
    "wait": 0,
    "wait_for": 1,
}


def _limits(call: ast.Call) -> Iterator[ast.expr]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    yield from (keyword.value for keyword in call.keywords if keyword.arg in KEYWORDS)
    yield from call.args[POSITIONS[name] :][:1] if name in POSITIONS else ()


def _deadlines(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield what is added to a clock's time."""
    for node in ast.walk(tree):
        match node:
            case ast.BinOp(ast.Call(ast.Attribute(attr="monotonic" | "perf_counter")), ast.Add(), right):
                yield right


def impatient(source: str) -> list[int]:
    """Return the lines where a wait gives up after a number of seconds below `PATIENCE_SECONDS`."""
    tree = ast.parse(source)
    limits = [limit for node in ast.walk(tree) if isinstance(node, ast.Call) for limit in _limits(node)]
    return [
        limit.lineno
        for limit in (*limits, *_deadlines(tree))
        if isinstance(limit, ast.Constant) and isinstance(limit.value, int | float) and limit.value < PATIENCE_SECONDS
    ]


def test_no_wait_gives_up_early():
    sources = {path.relative_to(TESTS).as_posix(): path.read_text(encoding="utf-8") for path in TESTS.rglob("*.py")}
    found = {name: impatient(source) for name, source in sources.items()}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "source",
    [
        "httpx.get(url, timeout=5)",
        "socket.create_connection(address, 1)",
        "client.settimeout(0.5)",
        "thread.join(5)",
        "with anyio.fail_after(10): pass",
        "deadline = time.monotonic() + 30",
    ],
)
def test_a_wait_that_gives_up_early_is_seen(source):
    assert impatient(source) == [1]


@pytest.mark.parametrize("source", ["thread.join()", "', '.join(names)", "httpx.get(url)", "client.settimeout(None)"])
def test_a_wait_without_a_number_of_seconds_is_none(source):
    assert impatient(source) == []


@pytest.mark.parametrize("client", [httpx.Client, httpx.AsyncClient])
def test_a_client_without_a_timeout_is_patient(client):
    assert client().timeout == httpx.Timeout(PATIENCE_SECONDS)


def test_hypothesis_goes_by_no_clock():
    assert settings().deadline is None
    assert HealthCheck.too_slow in settings().suppress_health_check
