"""``asyncmetrics rules``: its output, its files and its errors."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from asyncmetrics import CollectorRegistry, generate_latest
from asyncmetrics.cli import main
from asyncmetrics.dashboards.rules.objectives import KINDS, parse_objective
from tests.dashboards.rules.sources import make_shop
from tests.patience import PROGRAM_SECONDS

PAGE = (Path(__file__).parents[2] / "docs/rules.md").read_text(encoding="utf-8")


@pytest.fixture
def shop(tmp_path):
    """A file with the exposition of an application."""
    registry = make_shop()
    path = tmp_path / "shop.txt"
    path.write_bytes(generate_latest(registry))
    return str(path)


def run(*arguments):
    """Run the command; return its exit status."""
    try:
        return main(["rules", *arguments])
    except SystemExit as exit:
        return exit.code


def test_the_rules_of_objectives_come_before_the_shipped_ones(shop, capsys):
    assert run(shop, "--slo", "http=99.9%", "--name", "shop") == 0
    text = capsys.readouterr().out
    assert text.index("- name: shop-slo-http") < text.index("- name: asyncmetrics-http-recording")
    assert text.count("- alert: ErrorBudgetGoneIn") == 4
    assert "- alert: RouteFails" in text


def test_only_slo_leaves_the_shipped_rules_out(shop, capsys):
    assert run(shop, "--slo", "http=99.9%", "--only-slo") == 0
    assert "RouteFails" not in capsys.readouterr().out


def test_a_registry_of_a_module_is_read(tmp_path, monkeypatch, capsys):
    (tmp_path / "shop_of_rules.py").write_text(
        "import asyncmetrics\nREGISTRY = asyncmetrics.CollectorRegistry()\n"
        'asyncmetrics.Histogram("pay_seconds", "Payments.", ["kind"], buckets=[1, 5], registry=REGISTRY)\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert run("shop_of_rules:REGISTRY", "--slo", "pay=pay_seconds<5s=99%") == 0
    assert 'pay_seconds_bucket{le=~"5|5[.]0"}' in capsys.readouterr().out
    del sys.modules["shop_of_rules"]


def test_files_are_written_and_their_paths_printed(shop, tmp_path, capsys):
    folder = tmp_path / "new" / "rules"
    assert run(shop, "--slo", "http=99.9%", "--out", str(folder), "--name", "shop") == 0
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == ["shop.rules.yml", "shop.tests.yml"]
    assert capsys.readouterr().out.split() == [str(file) for file in files]


def test_no_objective_makes_no_file_of_tests(shop, tmp_path):
    assert run(shop, "--out", str(tmp_path / "out")) == 0
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["asyncmetrics.rules.yml"]


def test_the_runbooks_are_where_the_user_says(shop, capsys):
    assert run(shop, "--runbook-url", "https://wiki.example/{alert}") == 0
    assert 'runbook_url: "https://wiki.example/RouteFails"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "problem"),
    [
        (["--slo", "http=99.9"], 2, "write 99.9%"),
        (["--slo", "latency=99%"], 2, "expected a limit"),
        (["--name", "../x"], 2, "expected letters"),
        (["--runbook-url", "wiki"], 2, "expected a URL"),
        (["--min-failures", "-1"], 2, "expected a whole number"),
        (["--only-slo"], 1, "expected an objective beside it"),
        (["--slo", "db=99%"], 1, "the source has no db_client_operation_duration_seconds_count"),
        (["--slo", "http=99%", "--slo", "http=99.9%"], 1, "two objectives are called 'http'"),
        (["--slo", "a=http=99%", "--slo", "a=http:/=9%"], 1, "such as --slo 'other=http=99%'"),
        (["--slo", "http:/\udcff=99%"], 2, r"expected UTF-8 text, got 'http:/\udcff=99%'"),
        (["--job", "\udcff"], 2, "expected UTF-8 text"),
        (["--runbook-url", "https://wiki.example/\udcff"], 2, "expected UTF-8 text"),
        (["--job", " "], 2, "expected the name of a job"),
        (
            ["--slo", 'a=failures_total{job="b"}/orders_total=9%', "--job", "c"],
            1,
            "a matcher of job, so leave out --job",
        ),
        (["--namespace", "nope"], 1, "the source has no namespace 'nope'; it has: none"),
        (["--out", "/proc/none/x"], 1, "cannot be written"),
    ],
)
def test_a_mistake_is_one_line(shop, capsys, arguments, status, problem):
    assert run(shop, *arguments) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert problem in printed.err


def test_a_namespace_that_is_not_there_is_refused_with_those_that_are(tmp_path, capsys):
    path = tmp_path / "shop.txt"
    path.write_bytes(generate_latest(make_shop(namespace="shop")))
    assert run(str(path), "--namespace", "shpo") == 1
    assert "did you mean 'shop'?" in capsys.readouterr().err
    assert run(str(path), "--namespace", "bank") == 1
    assert "it has: 'shop'" in capsys.readouterr().err


def test_a_text_that_cannot_be_parsed_is_one_line(tmp_path, capsys):
    path = tmp_path / "wrong.txt"
    path.write_text("a{ 1\n")
    assert run(str(path), "--slo", "http=99%") == 1
    assert capsys.readouterr().err.startswith(f"asyncmetrics rules: {path}: line 1: ")


def test_an_empty_registry_has_alerts_as_well(tmp_path, capsys):
    path = tmp_path / "empty.txt"
    path.write_bytes(generate_latest(CollectorRegistry()))
    assert run(str(path)) == 0
    assert "- alert: TargetIsDown" in capsys.readouterr().out


def list_objectives():
    """Return the objectives that the page and the help show."""
    rows = re.findall(r"^\| (`.*`) \| ", PAGE.partition("## Objectives")[2].partition("### When")[0], re.M)
    return [slo for row in rows for slo in re.findall(r"`([^`…]*=[\d.]+%)`", row)]


@pytest.mark.parametrize("slo", list_objectives())
def test_an_objective_of_the_page_can_be_read(slo):
    assert parse_objective(slo).text == slo


def test_the_page_has_every_kind_of_objective():
    assert {slo.split("=")[0].split(":")[0].split("<")[0] for slo in list_objectives()} >= KINDS.keys()


def test_the_output_is_utf_8_whatever_the_terminal_has(shop):
    command = [sys.executable, "-m", "asyncmetrics", "rules", shop, "--slo", "http:/größe=99%"]
    settings = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=settings, capture_output=True, timeout=PROGRAM_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert 'route="/größe"' in done.stdout.decode("utf-8")


def test_a_source_that_is_nothing_is_told_what_a_source_is(capsys):
    assert run("nothing") == 1
    assert "expected a URL with http://, a file, or module[:registry]" in capsys.readouterr().err
