"""The commands read exporters that are not ours: the node exporter and a Prometheus server."""

from __future__ import annotations

import json
import re
import subprocess

import httpx
import pytest

from asyncmetrics.cli import main
from tests.patience import wait_until
from tests.servers.requirements import find_program

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def exporter(tmp_path_factory):
    """A node exporter on a free port, which it logs."""
    log = tmp_path_factory.mktemp("exporter") / "log"
    command = [find_program("prometheus-node-exporter"), "--web.listen-address=127.0.0.1:0"]
    with log.open("wb") as stream, subprocess.Popen(command, stderr=stream, stdout=stream) as process:
        try:
            listening = r'msg="Listening on"[^\n]*? address=(127\.0\.0\.1:\d+)'
            yield wait_until(lambda: re.search(listening, log.read_text()))[1]
        finally:
            process.terminate()


def test_check_takes_its_exposition_for_valid(exporter, capsys):
    assert main(["check", f"{exporter}/metrics"]) == 0
    assert capsys.readouterr().out.startswith("text format: valid, ")


def test_lint_finds_what_promtool_finds(exporter, capsys):
    assert main(["lint", f"{exporter}/metrics", "--promtool", "--format", "json"]) == 3
    ours = {found["metric"] for found in json.loads(capsys.readouterr().out)}
    text = httpx.get(f"http://{exporter}/metrics").content
    done = subprocess.run([find_program("promtool"), "check", "metrics"], input=text, capture_output=True, check=False)
    assert ours == {line.split()[0] for line in done.stderr.decode().splitlines()}


def test_cardinality_counts_its_series(exporter, capsys):
    assert main(["cardinality", f"{exporter}/metrics", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["series"] == sum(metric["series"] for metric in found["metrics"]) > 100
    assert "cpu" in {label["name"] for label in found["labels"]}


def test_two_scrapes_have_the_same_metrics(exporter, capsys):
    assert main(["diff", f"{exporter}/metrics", f"{exporter}/metrics", "--series", "no"]) == 0
