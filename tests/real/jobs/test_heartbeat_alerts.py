"""Three workers with a consumer each, and the shipped alert on their heartbeats, from Prometheus to a webhook.

One consumer gets stuck in a worker that serves on, while another worker is killed and replaced. Prometheus loads
docs/rules/alerts.yml as it is shipped, and only evaluates it more often.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.patience import wait_until
from tests.servers.alertmanager_server import Webhook, run_alertmanager, run_webhook
from tests.servers.processes import ROOT
from tests.servers.prometheus_server import Prometheus, make_job, run_prometheus
from tests.servers.uvicorn_workers import connect_to_each, run_uvicorn_workers
from tests.servers.worker_servers import Workers

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.xdist_group("heartbeat alerts")]

ALERT = "HeartbeatIsMissing"
MARGIN = 2.0  # seconds that pass from a beat to its scrape, and to the evaluation


class Story(NamedTuple):
    """The numbers of two workers, what the webhook knew, and all workers for which the alert was ever active."""

    stuck: str
    replaced: str
    during: dict[tuple[str, ...], str]
    after: dict[tuple[str, ...], str]
    active: set[str]


def read_slots(server: Workers) -> dict[int, str]:
    """Return the numbers of the workers by the ids of their processes."""
    samples = server.samples().items()
    return {int(value): dict(labels)["worker"] for (name, labels), value in samples if name == "process_id"}


def play(server: Workers, prometheus: Prometheus, webhook: Webhook) -> Story:
    """Let one consumer hang and kill the worker of another one; let the first go on when both alerts would be sent."""

    def read_states() -> dict[tuple[str, ...], str]:
        return webhook.read_states(ALERT, "heartbeat", "worker")

    with connect_to_each(server, 3) as (stuck, killed, _):
        slots = read_slots(server)
        prometheus.wait_for("heartbeat_last_timestamp_seconds", lambda rows: len(rows) == 3)
        assert stuck.get("/stick") == (200, "stuck")
        os.kill(killed.pid, signal.SIGKILL)
        due = time.time() + 3 * server.value("heartbeat_interval_seconds") + MARGIN
        series, replaced = ("consumer", slots[stuck.pid]), slots[killed.pid]
        wait_until(server.pids, lambda pids: len(pids) == 3 and killed.pid not in pids)
        seen = f'timestamp(ALERTS{{alertname="{ALERT}", worker="{series[1]}"}})'
        prometheus.wait_for(seen, lambda rows: bool(rows) and float(rows[0]["value"][1]) > due)
        during = wait_until(read_states, lambda states: states.get(series) == "firing")
        assert stuck.get("/release") == (200, "released")
        after = wait_until(read_states, lambda states: states.get(series) == "resolved")
        active = {row["metric"]["worker"] for row in prometheus.query(f'ALERTS{{alertname="{ALERT}"}}[1h]')}
        return Story(series[1], replaced, during, after, active)


@pytest.fixture(scope="module")
def story(tmp_path_factory) -> Iterator[Story]:
    """Play the story once, with servers that are started once."""
    folders = [tmp_path_factory.mktemp(name) for name in ("workers", "alertmanager", "prometheus")]
    with (
        run_webhook() as webhook,
        run_alertmanager(folders[1], webhook) as address,
        run_uvicorn_workers("heartbeat_app", 3, folders[0]) as server,
    ):
        alerting = {"alertmanagers": [{"static_configs": [{"targets": [address]}]}]}
        jobs = [make_job("shop", f"http://127.0.0.1:{server.port}")]
        rules = [str(ROOT / "docs/rules/alerts.yml")]
        with run_prometheus(folders[2], jobs, "500ms", rule_files=rules, alerting=alerting) as prometheus:
            yield play(server, prometheus, webhook)


def test_a_consumer_that_hangs_in_a_live_worker_alerts_with_its_name_and_worker(story):
    assert story.during == {("consumer", story.stuck): "firing"}


def test_a_worker_that_was_killed_and_replaced_does_not_alert(story):
    """The other alert was active at a time when this one would have been due."""
    assert story.active == {story.stuck} != {story.replaced}


def test_the_alert_is_resolved_once_the_consumer_beats_again(story):
    assert story.after == {("consumer", story.stuck): "resolved"}
