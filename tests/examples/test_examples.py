"""Every example runs, and shows what its docstring says it shows."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import httpx
import pytest

from asyncmetrics.errors import EXTRAS
from tests.patience import PROGRAM_SECONDS

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

# What each example that ends by itself prints; the quick start serves and has tests of its own.
SHOWS: dict[str, tuple[str, ...]] = {
    "batch_job.py": (
        'batch_job_last_success_timestamp_seconds{batch_job="invoices"} 1',
        'batch_job_last_records{batch_job="invoices"} 1000',
        'batch_job_last_succeeded{batch_job="invoices"} 1',
        'batch_job_last_succeeded{batch_job="invoices"} 0',
    ),
    "clients.py": (
        'db_client_operation_duration_seconds_count{operation="SELECT",outcome="ok",system="sqlite"} 20',
        'http_client_request_exceptions_total{method="GET",server="127.0.0.1:9",type="ConnectError"} 1',
        'http_server_request_client_calls_sum{client="db",route="/orders"} 20',
        'http_server_request_client_calls_sum{client="http",route="/rate"} 1',
    ),
    "context_labels.py": (
        'charges_total{currency="EUR",tenant="acme"} 3',
        'charges_total{currency="EUR",tenant="initech"} 2',
        'charges_total{currency="USD",tenant=""} 1',
    ),
    "custom_collector.py": ('queue_waiting_jobs{queue="mail"} 3', "queue_jobs_total 1729"),
    "decorators.py": (
        "no page 3",
        "streamed [0, 1, 2]",
        "fetch_duration_seconds_count 5",
        "fetch_failures_total 1",
        "fetches_in_progress 0",
        'stream_duration_seconds_count{outcome="ok"} 1',
    ),
    "event_loop.py": (
        'event_loop_blocked_seconds_total{function="__main__:check"}',
        'thread_pool_wait_seconds_count{pool="pictures"} 10',
        'thread_pool_run_seconds_count{function="__main__:resize",pool="pictures"} 10',
        'queue_put_wait_seconds_count{queue="uploads"} 10',
        'queue_item_seconds_count{queue="uploads"} 10',
    ),
    "fastapi_app.py": (
        'method="GET",route="/items/{item_id}",status="200"} 2',
        'method="GET",route="/items/{item_id}",status="404"} 1',
        'method="GET",route="<unmatched>",status="404"} 1',
    ),
    "health_checks.py": (
        '503 {"status": "not ready", "checks": {"database": {"status": "pending"}, "bank": {"status": "pending"}}}',
        '200 {"status": "ready", "checks": {"database": {"status": "up"}, "bank": {"status": "up"}}}',
        '"bank": {"status": "down", "reason": "error"}}}',
        "log: the health check bank fails: OSError: All connection attempts failed, from ConnectionRefusedError",
        '200 {"status": "live"}',
        'health_check_up{check="bank"} 0',
        'health_check_failures_total{check="bank",reason="error"}',
    ),
    "log_records.py": (
        'log_records_total{level="info",logger="shop.orders"} 2',
        'log_records_total{level="error",logger="shop.orders"} 1',
        'log_exceptions_total{logger="shop.orders",type="ZeroDivisionError"} 1',
    ),
    "native_histograms.py": (
        "cache: p99 is 0.001244 s, native 0.001266 s: 1.8% off",
        "cache: p99 is 0.001244 s, classic 0.00495 s: 297.8% off",
        "report: p99 is 97.83 s, native 98.7 s: 0.9% off",
        "report: p99 is 97.83 s, classic 10 s: 89.8% off",
    ),
    "multi_worker.py": (
        "several workers answered: True; every scrape returned {'orders_total 60.0'}",
        "after one was killed: orders_total 60",
    ),
    "periodic.py": (
        'periodic_run_duration_seconds_count{outcome="error",periodic="cleanup"} 1',
        'periodic_run_exceptions_total{periodic="cleanup",type="OSError"} 1',
        'periodic_skipped_runs_total{periodic="cleanup"}',
        'periodic_overruns_total{periodic="cleanup"}',
        'heartbeat_interval_seconds{heartbeat="consumer"} 0.1',
    ),
    "pushing.py": ('orders_total{instance="a",job="shop",kind="retail"} 4',),
    "queue_worker.py": ("worker_jobs_total 3", "worker_waiting_jobs 0"),
    "testing_metrics.py": ("as expected",),
}


def _run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", f"examples/{name}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )


def _parse(name: str) -> ast.Module:
    return ast.parse((EXAMPLES / name).read_text(encoding="utf-8"))


def test_every_example_is_in_the_table():
    assert {path.name for path in EXAMPLES.glob("*.py")} == SHOWS.keys() | {"quickstart.py"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "multi_worker.py")) for name in sorted(SHOWS)]
)
def test_an_example_runs_and_shows_its_point(name, tmp_path):
    done = _run(name, *([str(tmp_path)] if name == "batch_job.py" else []))
    assert (done.returncode, done.stderr) == (0, "")
    shown = done.stdout.replace(".0\n", "\n")
    assert [expected for expected in SHOWS[name] if expected not in shown] == [], done.stdout


@pytest.mark.parametrize("name", sorted(SHOWS))
def test_an_example_says_how_a_newcomer_runs_it(name):
    """By commands in the root of a clone. The test above runs the same file there."""
    lines = [line.strip() for line in (ast.get_docstring(_parse(name)) or "").splitlines()]
    install, run = lines[lines.index("Run it from the root of a clone::") + 2 :][:2]
    assert install.startswith("pip install -e ")
    assert run == f"{'pytest' if name == 'testing_metrics.py' else 'python'} examples/{name}"


@pytest.mark.parametrize("name", sorted(SHOWS))
def test_an_example_installs_what_it_imports(name):
    """The packages of the extras in its command, and those that the command names."""
    (command,) = re.findall(r"pip install -e (.+)", ast.get_docstring(_parse(name)) or "")
    extras = re.findall(r"\w+", command.split("[")[1].split("]")[0]) if "[" in command else []
    installed = {re.split(r"\W", one)[0] for extra in extras for one in EXTRAS[extra]} | set(command.split())
    nodes = list(ast.walk(_parse(name)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    ours = {"asyncmetrics", "anyio", *sys.stdlib_module_names}
    assert {name.split(".")[0] for name in names} - ours - installed == set()


@pytest.mark.parametrize(
    ("name", "package"), [("multi_worker.py", "uvicorn"), ("multi_worker.py", "httpx"), ("fastapi_app.py", "fastapi")]
)
def test_without_its_packages_an_example_ends_with_one_line(name, package):
    program = f"import runpy, sys; sys.modules[{package!r}] = None; runpy.run_path('examples/{name}')"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert "pip install -e" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", [["-m", "examples.multi_worker"], ["examples/multi_worker.py"]])
def test_the_workers_import_the_library_of_the_clone(command, tmp_path):
    """Also if the clone is not installed, but on the path of the program that starts them."""
    for folder in ("asyncmetrics", "examples"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "asyncmetrics/__init__.py").open("a", encoding="utf-8") as roof:
        roof.write('import sys\nprint("the clone", file=sys.stderr)\n')
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )
    assert "after one was killed: orders_total 60" in done.stdout, done.stderr
    # The program and its workers, whose lines may be mixed.
    assert done.stderr.count("the clone") >= 1 + 3


def test_the_timing_of_a_coroutine_holds_its_waiting():
    """Four fetches of 0.05 s and one block of 0.02 s, as the docstring of the example says."""
    begun = perf_counter()
    shown = _run("decorators.py").stdout
    (line,) = (line for line in shown.splitlines() if line.startswith("fetch_duration_seconds_sum"))
    assert 0.21 <= float(line.split()[1]) < perf_counter() - begun


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.py")), ids=lambda path: path.name)
def test_every_example_says_what_to_see(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.fixture
def quickstart(serving_alone):
    """The quick start as written, but on a port of the test's own."""
    program = "import runpy; uvicorn.run = serve; runpy.run_path('examples/quickstart.py', run_name='__main__')"
    with serving_alone(program) as base:
        yield base


def test_the_quick_start_counts_orders_and_requests(quickstart):
    for number in (7, 8):
        assert httpx.get(f"{quickstart}/orders/{number}").json() == {"order": number}
    text = httpx.get(f"{quickstart}/metrics").text
    assert 'shop_orders_total{kind="retail"} 2' in text
    assert 'http_server_request_duration_seconds_count{method="GET",route="/orders/{number}",status="200"} 2' in text


def test_the_quick_start_is_fifteen_lines_at_most():
    source = (EXAMPLES / "quickstart.py").read_text(encoding="utf-8")
    assert len([line for line in source.splitlines() if line.strip()]) <= 15
