"""``asyncmetrics rules``: rules and alerts of Prometheus for what an application declares."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from io import TextIOWrapper
from pathlib import Path

from asyncmetrics.cli.sources import add_native, add_source, find_natives, read_metrics
from asyncmetrics.dashboards.rules.declared import list_natives, read_declared
from asyncmetrics.dashboards.rules.layout import render_groups
from asyncmetrics.dashboards.rules.matching import Names, select_groups
from asyncmetrics.dashboards.rules.measures import find_indicator
from asyncmetrics.dashboards.rules.objectives import Objective, parse_objective
from asyncmetrics.dashboards.rules.slo_rules import MIN_FAILURES, make_group
from asyncmetrics.dashboards.rules.slo_tests import render_tests
from asyncmetrics.dashboards.rules.table import RUNBOOKS, add_runbooks
from asyncmetrics.errors import DefinitionError, show, suggest
from asyncmetrics.registry import CollectorRegistry

__all__ = ("DESCRIPTION", "add_arguments", "run")

DESCRIPTION = """\
Print rules for Prometheus: the recording rules and alerts that apply to the metrics of SOURCE, and those of each
objective (SLO). The command finds the namespace of the metrics and OpenTelemetry's names of labels in the source.

  asyncmetrics rules shop:REGISTRY --slo http=99.9% --slo 'latency<0.5s=99%' --out rules --name shop
  promtool test rules rules/shop.tests.yml

An objective is [NAME=]MEASURE=PERCENT. It gets the ratio of failures over 7 windows (5m to 3d), and 4 alerts, each on
a long and a short window: the error budget of 30 days would last for 2 or 5 days (severity page), or for 10 or 30 days
(severity ticket). MEASURE is one of

  http           requests that do not end with 5xx; http:/orders/{n} for one route
  latency<0.5s   requests that take up to 0.5 s, a bound of a bucket; latency:/orders/{n}<0.5s for one route
  stream         streams that do not fail; stream:/events for one route
  websocket      WebSockets that do not fail; websocket:/chat for one route
  client         requests to other servers; client:bank:443 for one server
  db             operations of databases; db:postgresql for one system
  periodic       runs of periodic functions; periodic:cleanup for one of them
  check          health checks; check:database for one of them

or, with a NAME before it, any other metrics:

  'orders=shop_failures_total/shop_orders_total=99.5%'          two counters, the failures and all events
  'api=requests_total{code=~"5.."}/requests_total=99.9%'        the same, with matchers of labels
  'pay=payment_duration_seconds<2s=99%'                         a histogram of times
  'size=upload_size_bytes<1000000=99%'                          any other histogram, in its own unit

With --out the rules are written to DIR/NAME.rules.yml, and tests of the objectives for promtool to DIR/NAME.tests.yml.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the source, the objectives, and where the rules go."""
    add_source(parser)
    parser.add_argument(
        "--slo", action="append", default=[], type=_parse_slo, metavar="OBJECTIVE",
        help="make the rules of this objective too, such as http=99.9%%; may be given several times",
    )  # fmt: skip
    parser.add_argument("--only-slo", action="store_true", help="make the rules of the objectives alone")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="write files to this directory, with tests for promtool"
    )
    parser.add_argument(
        "--name", type=_parse_name, metavar="NAME", help="begin the names of files and groups (default: asyncmetrics)"
    )  # fmt: skip
    parser.add_argument(
        "--job",
        type=_parse_job,
        metavar="JOB",
        help="limit the objectives to this job of Prometheus (default: each job by itself)",
    )
    parser.add_argument(
        "--min-failures", type=_parse_number, default=MIN_FAILURES, metavar="N",
        help=f"alert only if so many events fail in the long window (default: {MIN_FAILURES})",
    )  # fmt: skip
    parser.add_argument(
        "--runbook-url", type=_parse_url, default=RUNBOOKS, metavar="URL",
        help="the annotation runbook_url of each alert, with {alert} for its name, or {anchor} in lower case",
    )  # fmt: skip
    add_native(parser)
    parser.add_argument("--namespace", metavar="NAME", help="use the metrics with this namespace, if there are several")
    parser.add_argument(
        "--conventions",
        choices=("prometheus", "opentelemetry"),
        help="the names of labels, if no sample of the source shows them",
    )


def _check_unicode(text: str) -> None:
    """Refuse bytes that are no UTF-8: neither YAML nor PromQL can hold them."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ArgumentTypeError(f"expected UTF-8 text, got {text!r}") from error


def _parse_slo(text: str) -> Objective:
    _check_unicode(text)
    try:
        return parse_objective(text)
    except DefinitionError as error:
        raise ArgumentTypeError(f"{text!r}: {error.problem}") from error


def _parse_name(text: str) -> str:
    if not re.fullmatch(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,99}", text):
        raise ArgumentTypeError(f"expected letters, digits, '_', '-' and '.', such as shop, got {text!r}")
    return text


def _parse_job(text: str) -> str:
    _check_unicode(text)
    if not text.strip():
        raise ArgumentTypeError("expected the name of a job of Prometheus: none is empty")
    return text


def _parse_number(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ArgumentTypeError(f"expected a whole number, such as 5, got {text!r}")
    return int(text)


def _parse_url(text: str) -> str:
    _check_unicode(text)
    if not re.fullmatch(r"https?://[^\s/]+\S*", text) or "{{" in text:
        raise ArgumentTypeError(f"expected a URL such as 'https://wiki.example/{{alert}}', got {text!r}")
    return text


def run(options: Namespace) -> int:
    """Write the rules to standard output or to files."""
    _check_objectives(options.slo, options.only_slo)
    source = read_metrics(options.source, options)
    declared = read_declared(source)
    natives = list_natives(source, native=find_natives(options.source, options))
    names = Names(declared, isinstance(source, CollectorRegistry), options.namespace, options.conventions, natives)
    _check_namespace(names)
    found = [(objective, find_indicator(objective, names, options.job)) for objective in options.slo]
    name = options.name or "asyncmetrics"
    groups = [
        make_group(objective, indicator, options.job, name, options.min_failures) for objective, indicator in found
    ]
    shared, left_out = ([], []) if options.only_slo else select_groups(names)
    comment = "Rules for Prometheus, made by `asyncmetrics rules` from the metrics of the application."
    if left_out:
        comment += f"\nNot for {', '.join(left_out)}: --namespace chooses one of several namespaces."
    rules = render_groups(add_runbooks([*groups, *shared], options.runbook_url), comment)
    if options.out is None:
        if isinstance(sys.stdout, TextIOWrapper):  # YAML is UTF-8: an escape of Python would be another text in PromQL
            sys.stdout.reconfigure(encoding="utf-8", errors="replace")
        sys.stdout.write(rules)
        return 0
    files = {f"{name}.rules.yml": rules}
    if found:
        tests = render_tests(f"{name}.rules.yml", found, declared, options.job, options.min_failures)
        files[f"{name}.tests.yml"] = tests
    _write_files(options.out, files)
    return 0


def _check_namespace(names: Names) -> None:
    """Refuse a namespace that no metric has: the rules would be those of another application."""
    known = names.list_namespaces()
    if names.namespace and not any(name.startswith(f"{names.namespace}_") for name in names.declared):
        advice = suggest(names.namespace, known) or f"; it has: {', '.join(map(repr, known)) or 'none'}"
        raise DefinitionError("--namespace", f"the source has no namespace {show(names.namespace)}{advice}")


def _check_objectives(objectives: list[Objective], only: bool) -> None:
    if only and not objectives:
        raise DefinitionError("--only-slo", "expected an objective beside it, such as --slo http=99.9%")
    names = [objective.name for objective in objectives]
    for objective in objectives:
        if names.count(objective.name) > 1:
            advice = f"give each a name of its own, such as --slo 'other={objective.text_without_name}'"
            raise DefinitionError("--slo", f"two objectives are called {objective.name!r}: {advice}")


def _write_files(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise DefinitionError("--out", f"{path} cannot be written: {error.strerror}") from error
        sys.stdout.write(f"{path}\n")
