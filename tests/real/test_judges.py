"""Independent judges of what the shop of the demo exposes after a few requests: promtool and prometheus_client."""

from __future__ import annotations

import subprocess

import httpx
import pytest
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("judges")]

OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
REQUESTS = (
    ("GET", "/", 200),
    ("GET", "/products/7", 200),
    ("GET", "/products/99", 404),
    ("GET", "/export/2025.csv", 200),
    ("POST", "/baskets/3/items", 200),
    ("GET", "/products/none", 422),
    ("DELETE", "/products/7", 405),
    ("EVIL", "/wp-login.php", 404),
)


@pytest.fixture(scope="module")
def demo(serving_alone):
    program = "from examples.demo.shop import app; serve(app)"
    with serving_alone(program) as base, httpx.Client(base_url=base) as client:
        for method, path, status in REQUESTS:
            assert client.request(method, path).status_code == status
        yield client


def _counted(families) -> float:
    name = "http_server_request_duration_seconds"
    return sum(
        sample.value
        for family in families
        if family.name == name
        for sample in family.samples
        if sample.name == f"{name}_count" and not sample.labels["route"].startswith("/metrics")
    )


# OpenTelemetry's names, with a suffix that promtool keeps for histograms: docs/lint.md.
DELIBERATE = {"db_client_connection_count", "http_client_connection_count"}


def test_promtool_finds_nothing_to_say_but_of_deliberate_names(demo, binary):
    text = demo.get("/metrics").text
    done = subprocess.run(
        [binary("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    problems = [line for line in done.stderr.splitlines() if line.split(" ")[0] not in DELIBERATE]
    assert (done.stdout, problems) == ("", [])
    assert done.returncode in {0, 3}


def test_promtool_would_find_a_fault(binary):
    broken = '# TYPE a counter\na{b="c} 1\n'
    done = subprocess.run(
        [binary("promtool"), "check", "metrics"], input=broken, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1


def test_prometheus_client_reads_the_text_format(demo):
    families = parser.text_string_to_metric_families(demo.get("/metrics").text)
    assert _counted(families) == len(REQUESTS)


def test_prometheus_client_reads_openmetrics(demo):
    answer = demo.get("/metrics", headers=OPENMETRICS)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert _counted(openmetrics_parser.text_string_to_metric_families(answer.text)) == len(REQUESTS)


def test_no_raw_path_is_a_label(demo):
    text = demo.get("/metrics").text
    assert 'route="/products/{product_id}"' in text
    assert "wp-login" not in text
    assert "EVIL" not in text
