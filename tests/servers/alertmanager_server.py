"""A real Alertmanager in a process of its own, and a webhook that receives its notifications."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE_SECONDS, wait_until
from tests.servers.prometheus_server import LISTENING
from tests.servers.requirements import find_program

__all__ = ("Webhook", "run_alertmanager", "run_webhook")


class Webhook(ThreadingHTTPServer):
    """The receiver of the notifications: ``alerts`` are all that were sent, in their order."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receiver)
        self.alerts: list[dict[str, Any]] = []

    def read_states(self, alertname: str, *labels: str) -> dict[tuple[str, ...], str]:
        """Return the last status that was sent for an alert, by the values of ``labels``."""
        alerts = [(alert["labels"], alert["status"]) for alert in self.alerts]
        return {
            tuple(found[label] for label in labels): status
            for found, status in alerts
            if found["alertname"] == alertname
        }


class _Receiver(BaseHTTPRequestHandler):
    server: Webhook  # pyright: ignore[reportIncompatibleVariableOverride]  # no other server has it

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.alerts += body["alerts"]
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that the base has
        """Log nothing."""


@contextmanager
def run_webhook() -> Iterator[Webhook]:
    """Receive notifications until the block ends."""
    with Webhook() as webhook:
        thread = threading.Thread(target=webhook.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield webhook
        finally:
            webhook.shutdown()
            thread.join()


@contextmanager
def run_alertmanager(folder: Path, webhook: Webhook) -> Iterator[str]:
    """Run an Alertmanager that sends each alert to the webhook at once; yield its address."""
    route = {"receiver": "hook", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s"}
    hook = {"url": f"http://127.0.0.1:{webhook.server_port}/", "send_resolved": True}
    config = {"route": route, "receivers": [{"name": "hook", "webhook_configs": [hook]}]}
    (folder / "alertmanager.yml").write_text(json.dumps(config))  # JSON is YAML
    command = [find_program("prometheus-alertmanager"), f"--config.file={folder}/alertmanager.yml"]
    command += [f"--storage.path={folder}/data", "--web.listen-address=127.0.0.1:0", "--cluster.listen-address="]
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        found = wait_until(lambda: LISTENING.search(log.read_text()) or process.poll() is not None)
        assert isinstance(found, re.Match), log.read_text()
        yield found[1]
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
