"""promtool, Debian's and a newer one, on the rules that the command makes and on the tests that it writes for them."""

from __future__ import annotations

import re
import subprocess

import pytest

from asyncmetrics import CollectorRegistry, Gauge, generate_latest
from asyncmetrics.cli import main
from tests.dashboards.rules.sources import make_shop
from tests.patience import PROGRAM_SECONDS
from tests.servers.newer_promtool import PROMTOOLS, find_promtool
from tests.servers.processes import ROOT

pytestmark = pytest.mark.real

EVERYTHING = (
    "http=99.9%",
    'http:/it\'s "{{ $value }}" \\ü\n=99%',
    "latency<0.5s=99%",
    "slow=latency<1s=99.99%",
    "stream=50%",
    "websocket:/chat=93%",
    "check:db=99.5%",
    "orders=failures_total/orders_total=99.999%",
    'api=failures_total{code=~"4..|5.."}/failures_total=99%',
    'one=failures_total{code="500",job="bank"}/failures_total{job=~"bank|post"}=99%',
    "pay=pay_seconds<2.5s=99%",
)


@pytest.fixture(params=PROMTOOLS)
def promtool(request):
    """Run promtool; the result is what it prints."""
    program = find_promtool(request.param)

    def run(*arguments):
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False
        )
        return done.returncode, done.stdout + done.stderr

    return run


def make_rules(folder, registry, *arguments):
    source = folder / "source.txt"
    source.write_bytes(generate_latest(registry))
    assert main(["rules", str(source), "--out", str(folder), *arguments]) == 0
    return folder / "asyncmetrics.rules.yml", folder / "asyncmetrics.tests.yml"


@pytest.fixture(params=[{}, {"namespace": "shop", "conventions": "opentelemetry"}], ids=["ours", "opentelemetry"])
def made(request, tmp_path):
    """The files for all kinds of objectives that a shop has; its middleware may have other names."""
    registry = make_shop(**request.param)
    Gauge("health_check_up", "Checks.", ["check"], registry=registry)
    request_seconds = next(c for c in registry.collect() if c.name.endswith("http_server_request_duration_seconds"))
    buckets = "".join(
        f'{request_seconds.name}_bucket{{{labels},le="{le}"}} 0\n'
        for le in ("0.5", "1.0", "+Inf")
        for labels in ['http_route="/",http_response_status_code="200"' if request.param else 'route="/",status="200"']
    )
    source = tmp_path / "source.txt"
    text = generate_latest(registry).decode()
    kind = f"# TYPE {request_seconds.name} histogram\n"
    assert kind in text
    source.write_text(text.replace(kind, kind + buckets))
    slos = [part for slo in (EVERYTHING[:3] if request.param else EVERYTHING) for part in ("--slo", slo)]
    assert main(["rules", str(source), "--out", str(tmp_path), *slos]) == 0
    return tmp_path / "asyncmetrics.rules.yml", tmp_path / "asyncmetrics.tests.yml"


def test_the_rules_are_valid(made, promtool):
    status, text = promtool("check", "rules", str(made[0]))
    assert status == 0, text
    assert "SUCCESS" in text
    assert "duplicate" not in text


def test_the_generated_tests_pass(made, promtool):
    status, text = promtool("test", "rules", str(made[1]))
    assert status == 0, text


@pytest.mark.parametrize("old", ["14.4 *", 'status=~"5.."', ">= 5"])
def test_the_generated_tests_fail_on_other_rules(tmp_path, promtool, old):
    """A rule that is wrong in one place is found."""
    rules, tests = make_rules(tmp_path, make_shop(), "--slo", "http=99.9%", "--only-slo")
    text = rules.read_text()
    assert old in text
    rules.write_text(text.replace(old, {"14.4 *": "30 *", ">= 5": ">= 0"}.get(old, 'status=~"2.."')))
    assert promtool("test", "rules", str(tests))[0] == 1


CASES = """
rule_files: [asyncmetrics.rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: http_server_request_duration_seconds_count{{job="a", route="/x", status="500"}}
        values: 0+{bad}x120
      - series: http_server_request_duration_seconds_count{{job="a", route="/y", status="200"}}
        values: 0+{good}x120
      - series: http_server_request_duration_seconds_count{{job="b", route="/y", status="200"}}
        values: 0+{good}x120
    alert_rule_test:
"""
FIRES = """
      - alertname: ErrorBudgetGoneIn2Days
        eval_time: 100m
        exp_alerts:
          - exp_labels: {{ severity: page, slo: http, job: a }}
            exp_annotations:
              summary: "{share} of the requests of a fail: the error budget of http lasts for 2 days at most."
              description: "The objective is http=99.9%. In the last 1h and in the last 5m, more than 1.44% of the \
requests fail. At this rate, the error budget of 30 days is used up in 2 days or less."
              runbook_url: https://asyncmetrics.readthedocs.io/en/latest/rules.html#errorbudgetgonein2days
"""
SILENT = "".join(
    f"      - alertname: ErrorBudgetGoneIn{days}Days\n        eval_time: 100m\n        exp_alerts: []\n"
    for days in (2, 5, 10, 30)
)


@pytest.mark.parametrize(
    ("bad", "good", "expected"),
    [
        (2, 98, FIRES.format(share="2%")),
        (0.05, 99.95, SILENT),
        (0, 100, SILENT),
        (0.01, 0, SILENT),  # 1 failure in 100 minutes, and nothing else
    ],
)
def test_the_alerts_fire_for_one_job_from_2_percent_on_and_not_for_a_twentieth(tmp_path, promtool, bad, good, expected):
    make_rules(tmp_path, make_shop(), "--slo", "http=99.9%")
    (tmp_path / "case.yml").write_text(CASES.format(bad=bad, good=good) + expected)
    status, text = promtool("test", "rules", str(tmp_path / "case.yml"))
    assert status == 0, text


def test_a_hostile_exporter_makes_valid_rules(tmp_path, promtool):
    registry = CollectorRegistry()
    Gauge("up", "Ours.", ["a"], registry=registry).labels('"}\n- evil: {{ $x }}').set(1)
    text = generate_latest(registry).decode() + '{"a: b\\n#","l}"="\x1b"} 1\n{"x) or (queue_length"} 1\n'
    text += 'http_server_request_duration_seconds_count{route="\\"} or vector(1) > {\\"",status="200"} 1\n'
    (tmp_path / "source.txt").write_text(text)
    slos = ["--slo", "http:/x=99%", "--slo", 'http:"} or vector(1)=99%']
    assert main(["rules", str(tmp_path / "source.txt"), "--out", str(tmp_path), *slos]) == 0
    status, printed = promtool("check", "rules", str(tmp_path / "asyncmetrics.rules.yml"))
    assert status == 0, printed
    made = (tmp_path / "asyncmetrics.rules.yml").read_text()
    assert "\x1b" not in made
    assert re.search(r"^[^#\"]*or vector\(1\)", made, re.M) is None


def test_the_example_of_an_alertmanager_is_valid(binary):
    path = ROOT / "docs/rules/alertmanager.yml"
    done = subprocess.run([binary("amtool"), "check-config", str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, "SUCCESS" in done.stdout) == (0, True), done.stdout + done.stderr
