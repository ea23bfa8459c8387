"""A Prometheus of each generation that takes native histograms, and what it scrapes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

import asyncmetrics
from tests.real.native.cases import observe_cases
from tests.real.native.expected import Rule
from tests.servers.newer_programs import find_newer_program
from tests.servers.prometheus_server import Prometheus, make_job, run_prometheus


class Generation(NamedTuple):
    """How to start a Prometheus that takes native histograms, and how it interpolates."""

    features: str
    rule: Rule

    @property
    def is_new(self) -> bool:
        """Whether it is Prometheus 3."""
        return self.rule == "exponential"


GENERATIONS = {
    "old": Generation("native-histograms,exemplar-storage", "linear"),  # Debian 12's 2.42
    "new": Generation("native-histograms,exemplar-storage,created-timestamp-zero-ingestion", "exponential"),  # 3.5
}


@pytest.fixture(
    scope="package",
    params=[pytest.param(name, marks=pytest.mark.xdist_group(f"native_{name}")) for name in GENERATIONS],
)
def generation(request: pytest.FixtureRequest) -> Generation:
    """Each generation in turn; a newer one that is not installed is skipped."""
    return GENERATIONS[request.param]


@pytest.fixture(scope="package")
def newer_only(generation: Generation) -> None:
    """Skip a test that Prometheus 2.42 has no setting for."""
    if not generation.is_new:
        pytest.skip("2.42 has no such setting")


@pytest.fixture(scope="package")
def start(generation: Generation, tmp_path_factory: pytest.TempPathFactory):
    """Start a Prometheus of the generation: ``with start(jobs) as prometheus``."""
    program = find_newer_program("prometheus") if generation.is_new else ""

    @contextmanager
    def start(jobs, interval: str = "500ms", features: str = generation.features) -> Iterator[Prometheus]:
        options = [f"--enable-feature={features}"] if features else []
        folder = tmp_path_factory.mktemp("prometheus")
        with run_prometheus(folder, jobs, interval, *options, program=program) as server:
            yield server

    return start


@pytest.fixture(scope="package")
def base() -> Iterator[str]:
    """A server with all cases."""
    registry = asyncmetrics.CollectorRegistry()
    observe_cases(registry)
    server, thread = asyncmetrics.start_http_server(0, registry=registry)
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()


@pytest.fixture(scope="package")
def prometheus(start, base: str) -> Iterator[Prometheus]:
    """A Prometheus that has scraped all cases."""
    with start([make_job("cases", base)]) as server:
        server.wait_for('up{job="cases"} == 1', bool)
        yield server
