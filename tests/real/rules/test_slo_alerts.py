"""Two services with the rules that the command makes: one fails for 2 % of its requests, one for 0.05 %.

Prometheus loads the rules as the command prints them. Only the windows between brackets are shorter.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from asyncmetrics import CollectorRegistry, instrument
from asyncmetrics.cli import main
from tests.patience import wait_until
from tests.servers.alertmanager_server import Webhook, run_alertmanager, run_webhook
from tests.servers.prometheus_server import Prometheus, make_job, run_prometheus

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.xdist_group("slo alerts")]

ALERT = "ErrorBudgetGoneIn2Days"
SHORT = {"5m": "3s", "30m": "4s", "1h": "5s", "2h": "6s", "6h": "7s", "1d": "8s", "3d": "9s"}


class Shop:
    """A service; of ``every`` requests one fails, until ``is_broken`` is False."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.asked = 0
        self.is_broken = True
        self.app = instrument(Starlette(routes=[Route("/", self.answer)]), registry=CollectorRegistry())

    async def answer(self, _: Request) -> Response:
        self.asked += 1
        fails = self.is_broken and self.asked % self.every == 0
        return PlainTextResponse("sorry" if fails else "well", 500 if fails else 200)

    async def request(self) -> None:
        """Call the application as a server does: requests over a socket would be too few on a busy machine."""

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(_: object) -> None:
            """Drop the response."""

        scope = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "headers": []}
        await self.app({**scope, "root_path": "", "http_version": "1.1", "scheme": "http"}, receive, send)


def use(shops: Iterable[Shop], end: threading.Event) -> None:
    """Send requests until the end."""

    async def send_all() -> None:
        while not end.is_set():
            for shop in shops:
                for _ in range(100):
                    await shop.request()
            await anyio.sleep(0.05)

    anyio.run(send_all)


class Story(NamedTuple):
    """The last states of the alert, and one notification."""

    during: dict[tuple[str, ...], str]
    after: dict[tuple[str, ...], str]
    firing: dict[str, Any]
    calm: list[dict[str, Any]]


@pytest.fixture(scope="module")
def story(tmp_path_factory, serving) -> Iterator[Story]:
    """Play the story once, with servers that are started once."""
    folders = [tmp_path_factory.mktemp(name) for name in ("rules", "alertmanager", "prometheus")]
    shops = {"failing": Shop(50), "calm": Shop(2000)}
    with ExitStack() as stack:
        bases = {name: stack.enter_context(serving(shop.app)) for name, shop in shops.items()}
        end = threading.Event()
        user = threading.Thread(target=use, args=(list(shops.values()), end))
        user.start()
        stack.callback(user.join)
        stack.callback(end.set)
        wait_until(lambda: shops["failing"].asked > 100)
        source = [f"{bases['failing']}/metrics", "--slo", "http=99.9%", "--slo", "latency<10s=99%"]
        assert main(["rules", *source, "--out", str(folders[0])]) == 0
        rules = folders[0] / "short.yml"
        made = (folders[0] / "asyncmetrics.rules.yml").read_text()
        rules.write_text(re.sub(r"\[(\w+)\]", lambda window: f"[{SHORT.get(window[1], window[1])}]", made))
        webhook = stack.enter_context(run_webhook())
        address = stack.enter_context(run_alertmanager(folders[1], webhook))
        alerting = {"alertmanagers": [{"static_configs": [{"targets": [address]}]}]}
        jobs = [make_job(name, base) for name, base in bases.items()]
        prometheus = stack.enter_context(
            run_prometheus(folders[2], jobs, "200ms", rule_files=[str(rules)], alerting=alerting)
        )
        yield play(shops["failing"], prometheus, webhook)


def play(shop: Shop, prometheus: Prometheus, webhook: Webhook) -> Story:
    """Wait for the alert, mend the service, and wait for the end of the alert."""

    def read_states() -> dict[tuple[str, ...], str]:
        return webhook.read_states(ALERT, "job", "slo")

    during = wait_until(read_states, lambda states: states.get(("failing", "http")) == "firing")
    firing = next(alert for alert in webhook.alerts if alert["labels"]["alertname"] == ALERT)
    prometheus.wait_for('job:slo_errors:ratio_rate3d{slo="http", job="calm"} > 0', bool)
    shop.is_broken = False
    after = wait_until(read_states, lambda states: states.get(("failing", "http")) == "resolved")
    return Story(during, after, firing, prometheus.query('ALERTS{job="calm"}[1h]'))


def test_a_service_that_fails_for_2_percent_alerts(story):
    assert story.during == {("failing", "http"): "firing"}


def test_a_service_that_fails_for_a_twentieth_of_a_percent_does_not_alert(story):
    assert story.calm == []


def test_the_alert_is_resolved_once_the_service_is_well(story):
    assert story.after == {("failing", "http"): "resolved"}


def test_the_notification_says_how_much_fails_and_what_to_do(story):
    assert story.firing["labels"] == {"alertname": ALERT, "job": "failing", "severity": "page", "slo": "http"}
    summary = story.firing["annotations"]["summary"]
    assert re.fullmatch(
        r"[\d.]+% of the requests of failing fail: the error budget of http lasts for 2 days at most\.", summary
    )
    assert story.firing["annotations"]["runbook_url"].endswith("/rules.html#errorbudgetgonein2days")
