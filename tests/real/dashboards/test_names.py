"""promtool reads queries with names of any characters; its version 3 reads those that version 2 cannot.

The environment variable ASYNCMETRICS_NEWER_PROMTOOL has the path of a promtool 3.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from asyncmetrics.dashboards.grafana import make_grafana_dashboard
from tests.dashboards.test_grafana import HOSTILE, declare_gauge
from tests.servers.newer_promtool import find_promtool

pytestmark = pytest.mark.real

NAMES = (*HOSTILE, "shop.orders", "größe", "sum", "inf", "by")


def _check_rules(promtool: str, tmp_path: Path, name: str) -> None:
    [_, panel] = make_grafana_dashboard([declare_gauge(name, name)], "Foreign")["panels"]
    expression = re.sub(r"\$(job|instance)\b", ".*", panel["targets"][0]["expr"])
    rules = [
        {"record": "panel:query", "expr": expression},
        {"record": "panel:sum", "expr": f"sum by (job) ({expression})"},
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "names", "rules": rules}]}), encoding="utf-8")
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, check=False)
    assert "2 rules found" in done.stdout, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_promtool_3_reads_every_name(tmp_path, name):
    _check_rules(find_promtool("newer promtool"), tmp_path, name)


@pytest.mark.parametrize("name", ["orders_total", "sum", "inf", "by"])
def test_promtool_2_reads_the_names_that_it_allows(binary, tmp_path, name):
    _check_rules(binary("promtool"), tmp_path, name)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "line\nfeed"])
def test_promtool_3_finds_the_series_of_every_name(tmp_path, name):
    """The query asks for this name and no other: its escapes are those of PromQL."""
    promtool = find_promtool("newer promtool")
    [_, panel] = make_grafana_dashboard([declare_gauge(name, name)], "Foreign")["panels"]
    expression = re.sub(r"\$(job|instance)\b", ".*", panel["targets"][0]["expr"])
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    test = {
        "interval": "1m",
        "input_series": [{"series": f'{{"{quoted}", job="a"}}', "values": "7"}, {"series": "other", "values": "8"}],
        "promql_expr_test": [{"expr": f"sum({expression})", "eval_time": "0s", "exp_samples": [{"value": 7}]}],
    }
    file = tmp_path / "test.yml"
    file.write_text(json.dumps({"evaluation_interval": "1m", "tests": [test]}), encoding="utf-8")
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
