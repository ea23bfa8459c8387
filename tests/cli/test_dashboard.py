"""``asyncmetrics dashboard`` as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from asyncmetrics import CollectorRegistry, Counter, make_asgi_app
from asyncmetrics.cli import main
from tests.patience import PROGRAM_SECONDS

TEXT = "# TYPE orders_total counter\norders_total 1\n"


@pytest.fixture
def file(tmp_path):
    """A file of metrics."""
    path = tmp_path / "orders.prom"
    path.write_text(TEXT)
    return str(path)


def test_it_prints_a_dashboard_for_a_file(file, capfd):
    assert main(["dashboard", file]) == 0
    dashboard = json.loads(capfd.readouterr().out)
    assert dashboard["title"] == "orders"
    assert [panel["title"] for panel in dashboard["panels"]] == ["Own counters", "orders_total: rate"]


def test_it_prints_a_dashboard_for_a_url(serve, capfd):
    registry = CollectorRegistry()
    Counter("shop.orders", "Orders.", registry=registry)
    base = serve(make_asgi_app(registry))
    assert main(["dashboard", f"{base}/metrics"]) == 0
    dashboard = json.loads(capfd.readouterr().out)
    assert dashboard["title"] == base.removeprefix("http://")
    assert dashboard["panels"][1]["targets"][0]["expr"].startswith('sum(rate({"shop.orders_total", ')


def test_it_asks_a_url_for_the_names_of_an_older_prometheus(serve, capfd):
    registry = CollectorRegistry()
    Counter("shop.orders", "Orders.", registry=registry)
    base = serve(make_asgi_app(registry))
    assert main(["dashboard", f"{base}/metrics", "--escaping", "underscores"]) == 0
    assert "(rate(shop_orders_total{" in json.loads(capfd.readouterr().out)["panels"][1]["targets"][0]["expr"]


def test_it_prints_a_dashboard_for_a_registry(tmp_path, monkeypatch, capfd):
    (tmp_path / "boutique.py").write_text(
        "import asyncmetrics\nregistry = asyncmetrics.CollectorRegistry()\n"
        "asyncmetrics.Gauge('rooms', 'Rooms.', registry=registry)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["dashboard", "boutique:registry"]) == 0
    assert json.loads(capfd.readouterr().out)["title"] == "boutique"


def test_the_title_and_the_data_source_can_be_given(file, capfd):
    assert main(["dashboard", file, "--title", "Shop", "--datasource", "main"]) == 0
    dashboard = json.loads(capfd.readouterr().out)
    assert dashboard["title"] == "Shop"
    assert dashboard["templating"]["list"][0]["current"]["value"] == "main"


def test_it_prints_a_console(file, capfd):
    assert main(["dashboard", file, "--console"]) == 0
    assert capfd.readouterr().out.startswith("<!DOCTYPE html>")


def test_openmetrics_makes_the_same_dashboard(tmp_path, file, capfd):
    other = tmp_path / "other.prom"
    other.write_text("# TYPE orders counter\norders_total 1\n# EOF\n")
    for source in (file, str(other)):
        assert main(["dashboard", source, "--title", "Shop"]) == 0
    text, openmetrics = capfd.readouterr().out.split("\n}\n{\n")
    assert text.split() == f"{{\n{openmetrics}".rstrip().removesuffix("}").split()


@pytest.mark.parametrize(
    ("text", "problem"),
    [("", "declares no metrics"), ("orders_total{ 1\n", "line 1"), ("# EOF\n", "declares no metrics")],
)
def test_a_source_without_a_dashboard_is_one_line(tmp_path, capfd, text, problem):
    path = tmp_path / "empty.prom"
    path.write_text(text)
    assert main(["dashboard", str(path)]) == 1
    output = capfd.readouterr()
    assert (output.out, output.err.count("\n")) == ("", 1)
    assert problem in output.err


def test_a_title_without_text_is_a_wrong_argument(file, capfd):
    with pytest.raises(SystemExit) as caught:
        main(["dashboard", file, "--title", " "])
    assert caught.value.code == 2
    assert "expected a title" in capfd.readouterr().err


def test_the_output_is_utf_8_whatever_the_terminal_has(tmp_path):
    path = tmp_path / "size.prom"
    path.write_text('# TYPE "größe" gauge\n{"größe"} 1\n', encoding="utf-8")
    command = [sys.executable, "-m", "asyncmetrics", "dashboard", str(path)]
    settings = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=settings, capture_output=True, timeout=PROGRAM_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert "größe" in done.stdout.decode("utf-8")
