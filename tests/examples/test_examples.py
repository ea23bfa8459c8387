"""Every example runs, and shows what its docstring says it shows."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import httpx
import pytest

from tests.patience import PROGRAM_SECONDS

EXAMPLES = Path(__file__).parents[2] / "examples"

# What each example that ends by itself prints; the quick start serves and has tests of its own.
SHOWS: dict[str, tuple[str, ...]] = {
    "batch_job.py": (
        "invoices_last_success_timestamp_seconds 1",
        "invoices_records_processed 1000",
        "invoices_duration",
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
    "fastapi_app.py": (
        'method="GET",route="/items/{item_id}",status="200"} 2',
        'method="GET",route="/items/{item_id}",status="404"} 1',
        'method="GET",route="<unmatched>",status="404"} 1',
    ),
    "multi_worker.py": (
        "several workers answered: True; every scrape returned {'orders_total 60.0'}",
        "after one was killed: orders_total 60",
    ),
    "queue_worker.py": ("worker_jobs_total 3", "worker_waiting_jobs 0"),
    "testing_metrics.py": ("as expected",),
}


def _run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", name, *arguments],
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )


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
