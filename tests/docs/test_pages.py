"""The pages are true: their programs run, their rules and configurations are valid, what they name exists."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import asyncmetrics
from asyncmetrics import CollectorRegistry, core, jobs, lint, runtime, testing
from asyncmetrics.cli import COMMANDS
from asyncmetrics.errors import MissingExtraError
from asyncmetrics.integrations import InstrumentOptions
from asyncmetrics.metrics.pools import get_pools
from tests.patience import PROGRAM_SECONDS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("**/*.md"))}
RULES = sorted(set((DOCS / "rules").glob("*.yml")) - {DOCS / "rules/alertmanager.yml"})
ALERT_TESTS = sorted((ROOT / "tests/docs").glob("*alerts.yml"))
# It serves until it is ended, and has tests of its own.
QUICKSTART = (ROOT / "examples/quickstart.py").read_text(encoding="utf-8")
# Each block of these is a file of docs/, with tests of its own.
OTHER_LANGUAGES = ("dockerfile", "ini", "json", "nginx")
REFERENCE = [
    name
    for path, text in PAGES.items()
    if path.startswith("reference/")
    for name in re.findall(r"^::: (\S+)$", text, re.MULTILINE)
]
# Without the rules and dashboards, which name the metrics that the other modules declare.
MODULES = sorted(set((ROOT / "asyncmetrics").rglob("*.py")) - set((ROOT / "asyncmetrics/dashboards").rglob("*.py")))
PACKAGE = "\n".join(path.read_text(encoding="utf-8") for path in MODULES)


def _blocks(wanted: str) -> list[object]:
    found = (
        (name, number, code)
        for name, text in PAGES.items()
        for number, (language, code) in enumerate(re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
        if language == wanted
    )
    return [pytest.param(code, id=f"{name}-{number}") for name, number, code in found]


def _find_programs(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def _prose(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


def _find_outputs() -> dict[str, str]:
    """Return what each program prints, where the page says so behind it."""
    found = r"^```python\n((?:(?!^```).)*)^```\n\nIt prints:\n\n```text\n(.*?)^```"
    return {code: output for text in PAGES.values() for code, output in re.findall(found, text, re.S | re.M)}


OUTPUTS = _find_outputs()


def _is_file(block) -> bool:
    return block.values[0].startswith("--8<--")


@pytest.mark.slow
@pytest.mark.parametrize(
    "code", [block for block in _blocks("python") if block.values != (QUICKSTART,) and not _is_file(block)]
)
def test_a_program_runs_and_prints_what_the_page_says(code):
    output = _run(sys.executable, "-W", "error", "-c", code)
    assert output == OUTPUTS.get(code, output)


@pytest.mark.parametrize("code", [block for block in _blocks("python") if "RuntimeMonitor(" in block.values[0]])
def test_a_monitor_on_a_page_logs_no_block_of_a_busy_machine(code):
    thresholds = re.findall(r"RuntimeMonitor\((?:block_threshold=([\d.]+))?", code)
    running = "with RuntimeMonitor(" in code
    assert [one for one in thresholds if running and float(one or 0.1) < 5] == []


def test_every_recipe_says_what_its_programs_print():
    recipes = [code for path in PAGES if path.startswith("recipes/") for code in _find_programs(PAGES[path])]
    assert recipes
    assert [code for code in recipes if code not in OUTPUTS] == []


def test_the_first_program_is_the_quick_start():
    first = re.search(r"^```python\n(.*?)^```", PAGES["index.md"], re.DOTALL | re.MULTILINE)
    assert first
    assert first[1] == QUICKSTART


def test_every_language_is_one_that_is_checked_or_needs_no_check():
    languages = {
        language for text in PAGES.values() for language in re.findall(r"^```(\w*)\n.*?^```", text, re.S | re.M)
    }
    assert languages <= {"python", "promql", "yaml", "sh", "text", *OTHER_LANGUAGES}


@pytest.mark.parametrize("code", [block for language in OTHER_LANGUAGES for block in _blocks(language)])
def test_a_block_in_another_language_is_a_file(code):
    """Files have checks of their kinds: here, in test_production.py and where the rules are tested."""
    assert code.startswith("--8<--")


def test_every_file_on_a_page_is_one_that_is_checked():
    files = {file for text in PAGES.values() for file in re.findall(r'^--8<-- "(.*)"$', text, re.M)}
    folders = ("production", "rules", "scaling", "dashboards")
    checked = [*(path for folder in folders for path in (DOCS / folder).iterdir()), ROOT / "CHANGELOG.md"]
    assert files - {path.relative_to(ROOT).as_posix() for path in checked} == set()


@pytest.mark.real
def test_every_query_is_one_that_prometheus_takes(binary, tmp_path):
    """Promtool starts once for all; its message has the name of the block, such as ``middleware.md-0``."""
    queries = {str(block.id): block.values[0].replace("\n", "\n          ").rstrip() for block in _blocks("promql")}
    assert queries
    groups = [
        f"  - name: {name}\n    rules:\n      - record: page:query{number}\n        expr: |\n          {code}\n"
        for number, (name, code) in enumerate(queries.items())
    ]
    (tmp_path / "rules.yml").write_text("groups:\n" + "".join(groups))
    shown = _run(binary("promtool"), "check", "rules", str(tmp_path / "rules.yml"))
    assert f"SUCCESS: {len(queries)} rules found" in shown


@pytest.mark.real
@pytest.mark.parametrize("code", [block for block in _blocks("yaml") if not _is_file(block)])
def test_a_configuration_is_one_that_prometheus_takes(code, binary, tmp_path):
    if code.startswith("groups:"):
        (tmp_path / "rules.yml").write_text(code)
        _run(binary("promtool"), "check", "rules", str(tmp_path / "rules.yml"))
        return
    assert code.startswith("scrape_configs:")
    for name in re.findall(r"_file: (\S+)", code):
        (tmp_path / name).write_text("secret")
    (tmp_path / "prometheus.yml").write_text(code)
    _run(binary("promtool"), "check", "config", str(tmp_path / "prometheus.yml"))


@pytest.mark.real
@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_the_rules_are_valid(path, binary):
    _run(binary("promtool"), "check", "rules", str(path))


@pytest.mark.real
@pytest.mark.parametrize("path", ALERT_TESTS, ids=lambda path: path.name)
def test_the_alerts_are_raised_by_what_they_are_for_and_by_nothing_else(path, binary):
    _run(binary("promtool"), "test", "rules", str(path))


@pytest.mark.real
def test_the_command_for_a_namespace_makes_valid_rules_of_that_namespace(binary, tmp_path):
    (command,) = re.findall(r"^sed -E .*(?= alerts\.yml$)", PAGES["clients/index.md"], re.M)
    for path in RULES:
        done = subprocess.run([*shlex.split(command), str(path)], capture_output=True, text=True, check=True)
        (tmp_path / path.name).write_text(done.stdout)
        _run(binary("promtool"), "check", "rules", str(tmp_path / path.name))
        rooms = "(?:http|websocket|db)_(?:server|client)|log|event_loop|thread_pool|python_unhandled"
        assert re.findall(rf"(?<!shop_)\b(?:{rooms})_\w+", done.stdout) == []


def test_every_alert_is_raised_by_a_test():
    alerts = re.findall(r"- alert: (\w+)", (DOCS / "rules/alerts.yml").read_text(encoding="utf-8"))
    tests = "".join(path.read_text(encoding="utf-8") for path in ALERT_TESTS)
    raised = set(re.findall(r"alertname: (\w+)\n +eval_time: \S+\n +exp_alerts:\n", tests))
    assert alerts
    assert set(alerts) == raised


def _metrics(texts: list[str]) -> set[str]:
    rooms = "log|asyncmetrics|event_loop|thread_pool|batch_job|periodic|heartbeat|health_check"
    ours = rf"\b(?:(?:http|websocket|db)_(?:server|client)|{rooms})_\w+"
    return {name for text in texts for name in re.findall(ours, text)}


def test_every_metric_that_is_named_is_one_of_ours():
    named = _metrics([*PAGES.values(), *(path.read_text(encoding="utf-8") for path in RULES)])
    families = {re.sub(r"_(total|count|sum|bucket)$", "", name) for name in named}
    recorded = {  # by docs/rules/recording.yml
        *("http_server_requests", "http_server_failures", "http_client_requests", "http_client_failures"),
        *("http_server_streams", "http_server_stream_failures", "db_client_operations", "db_client_failures"),
        "event_loop_busy",
    }
    registry = CollectorRegistry()
    pools = [get_pools(registry, prefix) for prefix in ("db_client_connection", "http_client_connection")]
    ours = {name.removesuffix("_total") for name in _metrics([PACKAGE])}
    ours |= {family.name for family in registry.collect()} if pools else set()
    assert families - recorded - ours == set()


PARTS = ("Metrics", "What it costs", "What is not seen")


@pytest.mark.parametrize("name", [name for name in PAGES if re.match(r"(clients|frameworks)/(?!index)", name)])
def test_the_page_of_an_integration_has_its_metrics_its_cost_and_what_is_not_seen(name):
    assert [part for part in PARTS if f"\n## {part}\n" not in PAGES[name]] == []


def test_every_metric_of_the_middleware_is_on_its_page():
    there = re.findall(r'"((?:http|websocket)_server_\w+)"', PACKAGE)
    assert there
    assert [name for name in there if f"`{name}`" not in PAGES["middleware.md"]] == []


@pytest.mark.parametrize("option", InstrumentOptions.__annotations__)
def test_every_option_of_the_middleware_is_on_its_page(option):
    assert f"\n| `{option}` |" in PAGES["middleware.md"]


def _slug(heading: str) -> str:
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_links_is_there(name):
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", _prose(PAGES[name])) if "://" not in link]
    for link in links:
        target, _, anchor = link.partition("#")
        file = (DOCS / name).parent / target if target else DOCS / name
        assert file.is_file(), link
        if anchor:
            page = PAGES[file.resolve().relative_to(DOCS).as_posix()]
            assert anchor in {_slug(found) for found in re.findall(r"^#+ (.*)$", page, re.M)}, link


def _links(name: str) -> set[str]:
    """Return the pages that a page links, without anchors."""
    found = re.findall(r"\]\(([\w./]+\.md)(?:#[^)]*)?\)", _prose(PAGES[name]))
    return {(DOCS / name).parent.joinpath(link).resolve().relative_to(DOCS).as_posix() for link in found}


@pytest.mark.parametrize(
    "page", ["testing", "dashboards", "production", "troubleshooting", "live", "rules", "top", "lint"]
)
def test_the_questions_lead_to_the_page_that_says_more(page):
    assert f"{page}.md" in _links("questions.md")


def test_the_quickstart_leads_to_what_comes_next():
    assert {"live.md", "top.md", "testing.md", "dashboards.md", "rules.md", "lint.md", "cli.md"} <= _links("index.md")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_table_of_commands(command):
    assert f"\n| `asyncmetrics {command}` | " in PAGES["cli.md"]


def test_every_page_is_reached_from_the_navigation():
    navigation = set(re.findall(r": ([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M))
    assert navigation == set(PAGES)


def _exists(name: str) -> bool:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except MissingExtraError:
            return True  # the module is there, and its framework is not
        except ImportError:
            continue
        for part in parts[length:]:
            found = getattr(found, part, None)
        return found is not None
    return False


@pytest.mark.parametrize("name", PAGES)
def test_every_name_of_the_package_exists(name):
    prose = _prose(PAGES[name])
    named = set(re.findall(r"`(asyncmetrics(?:\.\w+)+)", prose)) | set(re.findall(r"^::: (\S+)$", prose, re.M))
    in_scopes = {"asyncmetrics.route"}  # keys, and no modules
    assert [dotted for dotted in sorted(named - in_scopes) if not _exists(dotted)] == []


@pytest.mark.parametrize(
    ("module", "besides"),
    [
        (asyncmetrics, {"Registry", "Metric", "__version__"}),
        (core, set(asyncmetrics.__all__)),
        (lint, set()),
        (testing, set()),
        (jobs, set()),
        (runtime, set()),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_the_reference_has_every_public_name(module, besides):
    referred = {name.rpartition(".")[2] for name in REFERENCE}
    assert set(module.__all__) - referred - besides == set()


def test_the_overview_of_the_reference_links_every_name_of_it():
    modules = {"asyncmetrics.errors"}  # its exceptions are linked one by one
    bases = {"asyncmetrics.metrics._base.MetricBase"}  # no name to import
    linked = set(re.findall(r"\]\[(asyncmetrics[\w.]+)\]", PAGES["api.md"]))
    assert set(REFERENCE) - modules - bases <= linked
    assert {name for name in linked if not _exists(name)} == set()
