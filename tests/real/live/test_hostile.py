"""Nothing that a server sends runs, becomes markup, or breaks the page; the page has room on a phone."""

from __future__ import annotations

import pytest

from asyncmetrics import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from asyncmetrics.formats.negotiation import negotiate
from tests.patience import wait_until
from tests.real.live.conftest import Upstream

pytestmark = pytest.mark.real

HOSTILE = [
    "<img src=x onerror=boom()>",
    "<script>boom()</script>",
    "</script><script>boom()</script>",
    "</style><svg onload=boom()>",
    "javascript:boom()",
    "${boom()}",
    "{{constructor.constructor('boom()')()}}",
    "__proto__",
    'a"b\\c\nd',
    "\u202egnp.exe",
    "\x1b[31mred\x07",
    "x" * 5000,
    "",
]
WATCH = "void (window.boom = () => { window.isHit = true; })"  # playwright would call a function


def _render(registry, accept="text/plain;version=1.0.0;escaping=allow-utf-8"):
    return b"".join(negotiate(accept).encode(registry.collect())).decode()


def _write_hostile_names():
    """Return metrics whose names, labels and HELP are hostile, as another server may expose them."""
    lines = []
    for number, text in enumerate(text for text in HOSTILE if text):
        quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        name = f'"a{number} {quoted}"'
        lines += [f"# HELP {name} {quoted}", f"# TYPE {name} gauge", f'{{{name},"{quoted}"="{quoted}"}} 1']
    return "\n".join([*lines, ""])


@pytest.fixture
def hostile_text():
    """Hostile label values in each section, and hostile names of metrics and labels, with hostile HELP."""
    registry = CollectorRegistry()
    duration = Histogram(
        "http_server_request_duration_seconds", "".join(HOSTILE), ["method", "route", "status"], registry=registry
    )
    calls = Histogram(
        "http_client_request_duration_seconds", HOSTILE[0], ["method", "server", "status"], registry=registry
    )
    logs = Counter("log_records_total", HOSTILE[1], ["logger", "level"], registry=registry)
    blocks = Counter("event_loop_blocked_seconds_total", HOSTILE[2], ["function"], registry=registry)
    tasks = Gauge("event_loop_tasks", HOSTILE[2], ["coroutine"], registry=registry)
    queues = Gauge("queue_length", HOSTILE[2], ["queue"], registry=registry)
    beats = Gauge("heartbeat_interval_seconds", HOSTILE[2], ["heartbeat"], registry=registry)
    errors = Counter("shop_errors_total", HOSTILE[2], ["type"], registry=registry)
    workers = Counter("process_cpu_seconds_total", HOSTILE[2], ["worker"], registry=registry)
    for text in HOSTILE:
        duration.labels(text, text, text).observe(0.1)
        calls.labels(text, text, text).observe(0.1)
        logs.labels(text, text).inc()
        for counter in (blocks, errors, workers):
            counter.labels(text).inc()
        for gauge in (tasks, queues, beats):
            gauge.labels(text).set(1)
    return _render(registry) + _write_hostile_names()


def test_hostile_names_labels_and_help_are_text(open_page, hostile_text):
    upstream = Upstream(hostile_text)
    view = open_page(upstream)
    view.page.evaluate(WATCH)
    for _ in range(2):
        view.read()
    for button in view.find("#metrics .open").all():
        button.click()
    view.read()
    for section in (
        "routes",
        "clients",
        "logs",
        "blocks",
        "tasks",
        "pools",
        "jobs",
        "failures",
        "workers",
        "cardinality",
    ):
        shown = "".join(text for row in view.list_cells(section) for text in row)
        assert HOSTILE[0] in shown or section == "cardinality", section
    assert (
        view.page.evaluate("document.querySelectorAll('main img, main svg, main a, main script, main style').length")
        == 0
    )
    assert view.page.evaluate("window.isHit") is None
    assert view.find("#skipped").is_hidden()
    shown = view.find("main").inner_text()
    assert "\u202e" not in shown
    assert "\\u202egnp.exe" in shown
    assert "\x1b" not in shown
    assert view.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_message_of_a_server_that_refuses_is_text(open_page):
    upstream = Upstream(HOSTILE[0], status=500)
    view = open_page(upstream)
    assert HOSTILE[0] in view.find("#problem").inner_text()
    assert view.find("main img").count() == 0


def test_a_script_that_was_injected_would_be_refused_and_seen(open_page):
    """The test that the others can fail."""
    view = open_page(Upstream("apples 1\n"))
    view.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=boom()>')")
    wait_until(lambda: view.page.evaluate("0") or view.errors)
    assert any("CSP" in error for error in view.errors)
    view.errors.clear()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_but_tables_is_wider_than_the_screen(open_page, hostile_text, scheme):
    view = open_page(Upstream(hostile_text), color_scheme=scheme)
    view.page.set_viewport_size({"width": 360, "height": 740})
    view.read()
    script = """() => [...document.querySelectorAll("body *")].filter((one) => !one.closest(".scroller table") &&
      !one.closest(".unseen") && one.getBoundingClientRect().right > 360.5).map((one) => one.outerHTML.slice(0, 100))"""
    assert view.page.evaluate(script) == []
    assert view.page.evaluate("document.documentElement.scrollWidth") == 360


def test_on_a_phone_the_figures_of_the_metrics_are_seen_without_scrolling(open_page, hostile_text):
    view = open_page(Upstream(hostile_text + 'build_info{version="' + "1" * 200 + '"} 1\n'))
    view.page.set_viewport_size({"width": 360, "height": 740})
    view.read()
    cells = view.find("#metrics td.wide")
    assert cells.count() > 10
    assert cells.evaluate_all("cells => cells.every(cell => cell.getBoundingClientRect().right <= 360)")


def test_the_theme_is_that_of_the_system_until_it_is_changed(open_page):
    view = open_page(Upstream("apples 1\n"), color_scheme="dark")
    read = "getComputedStyle(document.body).backgroundColor"
    dark = view.page.evaluate(read)
    view.find("#theme").click()
    light = view.page.evaluate(read)
    assert (dark, light) == ("rgb(14, 16, 20)", "rgb(247, 247, 245)")


def test_the_real_registry_is_read_without_a_problem(open_page):
    view = open_page(Upstream(generate_latest().decode()))
    assert view.find("#skipped").is_hidden()
    assert view.find("#status").inner_text() == "live"
