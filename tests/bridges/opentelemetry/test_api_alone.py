"""The provider needs OpenTelemetry's API alone, and serves libraries that made their instruments before it."""

from __future__ import annotations

import subprocess
import sys

from tests.patience import PROGRAM_SECONDS

REFUSE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.startswith({name!r}):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refuse())
"""
PROXIES = """
import opentelemetry.metrics as otel

before = otel.get_meter("before")
calls = before.create_counter("calls")
before.create_observable_gauge("level", [lambda options: [otel.Observation(3)]])
calls.add(1)  # lost, as OpenTelemetry says

from asyncmetrics import CollectorRegistry
from asyncmetrics.bridges.opentelemetry import MeterProvider

registry = CollectorRegistry()
otel.set_meter_provider(MeterProvider(registry, scope_labels=False))
calls.add(2)
otel.get_meter("after").create_counter("calls").add(3)
print(registry.get_sample_value("otel_calls_total"), registry.get_sample_value("otel_level"))
print([name for name in sys.modules if name.startswith("opentelemetry.sdk")])
"""
MISSING = """
from asyncmetrics.errors import MissingExtraError

try:
    import asyncmetrics.bridges.opentelemetry
except MissingExtraError as error:
    print(error.package, error.extra)
"""


def run(program: str) -> str:
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_proxies_and_later_meters_count_without_the_sdk():
    assert run(REFUSE.format(name="opentelemetry.sdk") + PROXIES) == "5.0 3.0\n[]\n"


def test_an_error_names_the_extra_if_the_api_is_missing():
    assert run(REFUSE.format(name="opentelemetry") + MISSING) == "opentelemetry-api opentelemetry\n"
