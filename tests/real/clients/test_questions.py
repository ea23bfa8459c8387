"""Three questions about a service that two lines measure: a real Prometheus answers each by the documented query."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path

import httpx
import pytest

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("questions")]

PAGE = (Path(__file__).parents[3] / "docs/clients/index.md").read_text(encoding="utf-8")
QUERIES = [query.replace("[5m]", "[1m]") for query in re.findall(r"^```promql\n(.*?)^```", PAGE, re.M | re.S)]


class _Bank(BaseHTTPRequestHandler):
    """Fail every fourth payment."""

    numbers = count()

    def do_POST(self) -> None:
        self.send_response(503 if next(self.numbers) % 4 == 0 else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def bank():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Bank) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def shop(postgresql, redis_server, bank, serving_alone):
    settings = {
        "DATABASE": postgresql.dsn.replace("postgresql:", "postgresql+asyncpg:"),
        "CACHE": redis_server.url,
        "BANK": bank,
    }
    program = f"import os; os.environ.update({settings!r}); from tests.real.clients.shop_service import app; serve(app)"
    with serving_alone(program) as base:
        yield base


VISITS = [("GET", "/orders/3"), ("GET", "/history"), ("GET", "/report"), ("POST", "/payments")]


@pytest.fixture(scope="module")
def answers(shop, start_prometheus):
    """Return the answer of Prometheus to the query at an index of the page, after some visits."""

    def visit(number: int) -> None:
        with httpx.Client(base_url=shop) as client:
            for _ in range(5):
                client.request(*VISITS[number % len(VISITS)])

    waited = "max_over_time(db_client_connection_pending_requests[1m])"
    payments = "min(increase(http_client_request_duration_seconds_count[1m]))"
    with ThreadPoolExecutor(16) as visitors:
        # `rate` misses the first value of a series that is born between two scrapes: all of them are born before.
        list(visitors.map(visit, range(16)))
        prometheus = start_prometheus({"shop": shop}, "200ms")
        while not (_most(prometheus, waited) > 0 and _most(prometheus, payments) > 10):
            list(visitors.map(visit, range(16)))
    return lambda index, *labels: {
        tuple(row["metric"].get(label) for label in labels): float(row["value"][1])
        for row in prometheus.query(QUERIES[index].replace("(db_client_connection_pending_requests)", f"({waited})"))
    }


def _most(prometheus, query: str) -> float:
    return max((float(row["value"][1]) for row in prometheus.query(query)), default=0)


def test_which_dependency_makes_a_route_slow(answers):
    shares = answers(0, "route", "client")
    assert shares["/payments", "http"] > shares["/payments", "db"]
    assert shares["/report", "db"] > shares["/report", "http"]


def test_the_route_that_asks_too_often_shows(answers):
    mean, most = answers(1, "route", "client"), answers(2, "route", "client")
    assert (mean["/history", "db"], mean["/report", "db"]) == (pytest.approx(16), pytest.approx(1))
    assert most["/history", "db"] > 10 > most["/report", "db"]


def test_whether_the_pool_is_too_small(answers):
    assert answers(3, "pool")["SQLAlchemy-1",] > 0
    assert answers(4, "pool")["SQLAlchemy-1",] > 0


def test_which_client_fails(answers):
    failures = answers(6, "server")
    assert set(failures) == {("bank",)}
    assert 0.1 < failures["bank",] < 0.4
