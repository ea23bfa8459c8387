"""A program that the tests of Sentry and Datadog run: both change classes of the frameworks until the process ends.

``python neighbour_program.py sentry fastapi create ours theirs`` takes the steps in their order, sends requests, and
prints as JSON: the statuses, the routes that we have counted with their statuses, what the neighbour has seen of them.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

import httpx

import asyncmetrics
from asyncmetrics import CollectorRegistry
from tests.integrations.conftest import BUILDERS

PATHS = ("/items/1", "/raising", "/metrics")


class Sentry:
    """Sentry's integrations, which its initialisation finds."""

    def __init__(self, framework: str) -> None:
        self._framework = framework
        self._seen: list[str] = []

    def add(self) -> None:
        import sentry_sdk
        from sentry_sdk.transport import Transport

        seen = self._seen

        class Kept(Transport):
            def capture_envelope(self, envelope):
                kinds = [item for item in envelope.items if item.headers.get("type") in {"event", "transaction"}]
                seen.extend(f"{item.headers['type']} {item.payload.json.get('transaction')}" for item in kinds)

        sentry_sdk.init("http://key@127.0.0.1/1", transport=Kept, traces_sample_rate=1.0)

    def take(self) -> list[str]:
        import sentry_sdk

        sentry_sdk.flush()
        return self._seen


class Datadog:
    """Datadog's patches of the framework."""

    def __init__(self, framework: str) -> None:
        self._framework = framework
        self._seen: list[str] = []

    def add(self) -> None:
        os.environ |= {"DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false", "DD_REMOTE_CONFIGURATION_ENABLED": "false"}
        from ddtrace import patch
        from ddtrace.trace import TraceFilter, tracer

        seen = self._seen

        class Kept(TraceFilter):
            def process_trace(self, trace):
                seen.extend(span.resource for span in trace if span.span_type == "web")

        tracer.configure(trace_processors=[Kept()])
        patch(**{self._framework: True})

    def take(self) -> list[str]:
        return self._seen


async def ask(app) -> list[int]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as client:
        return [(await client.get(path)).status_code for path in PATHS]


def count(registry: CollectorRegistry) -> dict[str, str]:
    samples = [sample for family in registry.collect() for sample in family.samples]
    counted = [sample for sample in samples if sample.name == "http_server_request_duration_seconds_count"]
    return {sample.labels["route"]: sample.labels["status"] for sample in counted}


def main(neighbour: str, framework: str, *steps: str) -> None:
    registry = CollectorRegistry()
    theirs = {"sentry": Sentry, "ddtrace": Datadog}[neighbour](framework)
    app = None
    for step in steps:
        match step:
            case "create":
                app = BUILDERS[framework](None)
            case "ours":
                asyncmetrics.instrument(app, registry=registry)
            case "-ours":
                asyncmetrics.uninstrument(app)
            case "theirs":
                theirs.add()
    statuses = asyncio.run(ask(app))
    print(json.dumps([statuses, count(registry), theirs.take()]))


if __name__ == "__main__":
    main(*sys.argv[1:])
