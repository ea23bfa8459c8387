"""A real Prometheus answers every query of a dashboard, and serves the console, of an application with everything on.

The application runs in three workers. The dashboards are those that the command prints for its URL.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

import httpx
import pytest
from websockets.sync.client import connect

from asyncmetrics.bridges.scraping import Exposition, Target
from asyncmetrics.dashboards.declared import Declared, read_declared
from scripts.dashboards import RECORDED
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.servers.processes import ROOT
from tests.servers.prometheus_server import Prometheus, make_job, run_prometheus
from tests.servers.uvicorn_workers import run_uvicorn_workers

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.xdist_group("dashboard")]

PATHS = ("/items/1", "/broken", "/raises", "/events", "/nowhere", "/metrics")
# What has no series: nothing of it happens in this application.
SILENT = (
    "asyncmetrics_collector_errors_total",
    "asyncmetrics_internal_errors_total",
    "asyncmetrics_omitted_samples_total",
    "asyncmetrics_push_dropped_total",  # the sink takes everything
    "asyncmetrics_single_worker_collections_total",
    "http_client_connection_",  # httpx has no such times
    "db_client_connection_timeouts_total",
    "periodic_skipped_runs_total",
    "periodic_overruns_total",
)


class _Run(NamedTuple):
    base: str
    prometheus: Prometheus
    dashboard: dict[str, Any]


def _print_dashboard(*arguments: str) -> str:
    command = [sys.executable, "-m", "asyncmetrics", "dashboard", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def _visit(base: str) -> None:
    for path in PATHS:
        httpx.get(f"{base}{path}")
    httpx.post(f"{base}/items/2", content=b"abc")
    with connect(f"{base.replace('http', 'ws')}/socket") as socket:
        socket.send("hello")
        socket.recv()


@contextmanager
def _keep_waiting(base: str) -> Iterator[None]:
    """Have an active request all the time: a request of three seconds after the other."""
    is_over = threading.Event()

    def wait() -> None:
        while not is_over.is_set():
            httpx.get(f"{base}/wait")

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(PATIENCE_SECONDS)


def _list_expressions(dashboard: dict[str, Any]) -> dict[str, str]:
    """Return the expressions by the titles of their panels, with values for the variables."""
    panels = [panel for one in dashboard["panels"] for panel in (one, *one.get("panels", ()))]
    return {
        f"{panel['id']} {panel['title']} {target['refId']}": re.sub(
            r"\$(job|instance|route|worker)\b", ".*", target["expr"].replace("$__rate_interval", "1m")
        )
        for panel in panels
        for target in panel.get("targets", ())
    }


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Run]:
    """The application, a Prometheus that scrapes it and has its console, and the dashboard for its URL."""
    folder = tmp_path_factory.mktemp("everything")
    consoles = folder / "consoles"
    consoles.mkdir()
    options = (f"--web.console.templates={consoles}", f"--web.console.libraries={consoles}")
    with (
        mock.patch.dict(os.environ, EVERYTHING_FOLDER=str(folder)),
        run_uvicorn_workers("everything_app", 3, folder, "--loop", "asyncio") as server,
    ):
        base = f"http://127.0.0.1:{server.port}"
        with run_prometheus(folder, [make_job("everything", base)], "2s", *options) as prometheus:
            prometheus.wait_for("up == 1", bool)
            for _ in range(3):
                _visit(base)
                httpx.get(f"{base}/block")
            dashboard = json.loads(_print_dashboard(f"{base}/metrics"))
            (consoles / "everything.html").write_text(_print_dashboard(f"{base}/metrics", "--console"))
            with _keep_waiting(base):
                yield _Run(base, prometheus, dashboard)


def test_every_query_is_answered_where_there_is_data(everything):
    """The series that a query asks for may need two scrapes with a change between them."""
    expressions = _list_expressions(everything.dashboard)
    assert len(expressions) > 120

    def ask() -> dict[str, str]:
        _visit(everything.base)
        for name, expression in list(expressions.items()):
            if everything.prometheus.query(expression):
                del expressions[name]
        return expressions

    def has_only_silent(found: dict[str, str]) -> bool:
        return all(any(silent in expression for silent in SILENT) for expression in found.values())

    wait_until(ask, has_only_silent, pause=0.5)


def test_promtool_takes_every_query(everything, binary, tmp_path):
    rules = [
        {"record": f"panel:query:{number}", "expr": expression}
        for number, expression in enumerate(_list_expressions(everything.dashboard).values())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run([binary("promtool"), "check", "rules", file], capture_output=True, text=True, check=False)
    assert f"{len(rules)} rules found" in done.stdout, done.stderr


def test_only_the_metrics_of_the_application_are_in_the_rows_of_its_own(everything):
    row, titles = "", []
    for panel in everything.dashboard["panels"]:
        row = panel["title"] if panel["type"] == "row" else row
        titles += [panel["title"]] if row.startswith("Own") and panel["type"] != "row" else []
    assert titles
    assert [title for title in titles if not title.startswith("own_")] == []


def test_the_variables_find_the_job_the_routes_and_the_three_workers(everything):
    found = {}
    for variable in everything.dashboard["templating"]["list"][1:]:
        query = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"])
        assert query
        selector, label = re.sub(r"\$(job|instance)", ".*", query[1]), query[2]
        answer = everything.prometheus.get(f"/api/v1/label/{label}/values", **{"match[]": selector})
        found[variable["name"]] = answer
    assert found["job"] == ["everything"]
    assert len(found["instance"]) == 1
    assert {"/items/{n}", "/broken"} <= set(found["route"])
    assert len(found["worker"]) == 3


def test_one_worker_can_be_chosen(everything):
    panels = {panel["title"]: panel for panel in everything.dashboard["panels"]}
    expression = panels["Lag (p99)"]["targets"][0]["expr"].replace("$__rate_interval", "1m")
    worker = everything.prometheus.query("count by (worker) (event_loop_lag_seconds_count)")[0]["metric"]["worker"]
    expression = re.sub(r"\$(job|instance|route)\b", ".*", expression).replace("$worker", worker)
    rows = everything.prometheus.wait_for(expression, bool)
    assert {row["metric"]["worker"] for row in rows} == {worker}


def test_prometheus_serves_the_console_with_figures(everything):
    def read_console() -> httpx.Response:
        _visit(everything.base)
        return httpx.get(f"{everything.prometheus.base}/consoles/everything.html")

    def has_figures(answer: httpx.Response) -> bool:
        return bool(re.search(r"route=/items/\{n\} *</td><td>[\d.]+ /s</td>", answer.text))

    answer = wait_until(read_console, has_figures)
    assert answer.status_code == 200
    assert "own_stock_ratio" in answer.text
    assert "error executing template" not in answer.text


def test_the_console_of_a_job_has_its_figures(everything):
    for parameter in ("job=everything", f"instance={urllib.parse.quote(everything.base.removeprefix('http://'))}"):
        answer = httpx.get(f"{everything.prometheus.base}/consoles/everything.html?{parameter}")
        assert "route=/items/{n}" in answer.text


def test_a_job_that_is_not_there_has_no_figures_in_the_console(everything):
    """Its name is a text in the query, whatever it has."""
    for job in (
        "nothing",
        "every.*",
        "everything|x",
        '"} or up{job=~".*',
        "{{ .Params }}",
        "<script>alert(1)</script>",
    ):
        query = urllib.parse.urlencode({"job": job})
        answer = httpx.get(f"{everything.prometheus.base}/consoles/everything.html?{query}")
        assert answer.status_code == 200
        assert "<script" not in answer.text
        assert "route=/items" not in answer.text


def test_the_recorded_exposition_is_that_of_the_application(everything):
    """The shipped dashboard is made from it. ``python -m scripts.dashboards URL`` records it again."""

    recorded = {one.name: one for one in read_declared(Exposition(RECORDED.read_text(encoding="utf-8")))}

    def read() -> dict[str, Declared]:
        _visit(everything.base)
        return {one.name: one for one in read_declared(Target(f"{everything.base}/metrics").scrape())}

    present = wait_until(read, lambda found: recorded.keys() <= found.keys())
    # A collector that is late on a busy machine is counted in a metric that is not there otherwise.
    assert [name for name in present.keys() - recorded.keys() if not name.startswith("asyncmetrics_")] == []
    both = {
        name: (present[name], recorded[name]) for name in recorded if present[name].labels and recorded[name].labels
    }
    assert {name: (one.kind, one.labels) for name, (one, _) in both.items()} == {
        name: (other.kind, other.labels) for name, (_, other) in both.items()
    }
