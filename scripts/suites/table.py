"""The suites: which release of a package has the tests, how they are run, and what they need.

Some packages are not here. The archives of prometheus-fastapi-instrumentator, litestar, faststream and
starlette-prometheus have no tests; the tests of prometheus-flask-exporter need a module that its archive lacks; those
of dns-exporter ask servers of other hosts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ("COMMON", "CONSTRAINTS", "SUITES", "Suite")

CONSTRAINTS = Path(__file__).with_name("constraints.txt")
"""The version of every package that any suite needs; ``python -m scripts.suites --pin`` writes it."""

COMMON = ("prometheus-client==0.26.0", "pytest==8.4.2", "pytest-timeout==2.4.0", "anyio==4.14.2", "h11==0.16.0")
"""What every environment has: the library itself, the test runner, and what asyncmetrics depends on."""


@dataclass(frozen=True, slots=True)
class Suite:
    """One suite.

    ``archive`` is the release whose source archive has ``tests``; ``removed`` folders of it are deleted before
    a run, and ``made`` ones, which the archive lacks, are made.
    ``source`` is the folder with the package's own modules. ``quick`` suites are those that `.ci/run` runs.
    """

    archive: str
    tests: tuple[str, ...] = ("tests",)
    requires: tuple[str, ...] = ()
    source: str = "."
    removed: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    quick: bool = False

    @property
    def distribution(self) -> str:
        """The name of the package on the index."""
        return self.archive.partition("==")[0]

    @property
    def requirements(self) -> tuple[str, ...]:
        """What pip installs for the suite."""
        return (*COMMON, *self.requires)


SUITES = {
    "prometheus-client": Suite(
        "prometheus-client==0.26.0",
        requires=("aiohttp", "pytest-aiohttp", "asgiref", "django==5.2.*", "twisted"),
        removed=("prometheus_client",),  # the installed one is tested
        quick=True,
    ),
    # The last archive with tests/openmetrics. What of them 0.26 does not pass does not count.
    "prometheus-client-openmetrics": Suite(
        "prometheus-client==0.21.1",
        tests=("tests/openmetrics",),
        removed=("prometheus_client",),
        quick=True,
    ),
    "starlette-exporter": Suite(
        "starlette-exporter==0.24.0",
        requires=("starlette", "fastapi", "httpx", "pytest-asyncio", "aiofiles"),
        made=("tests/static",),
        quick=True,
    ),
    "prometheus-async": Suite(
        "prometheus-async==26.1.0",
        requires=("prometheus-async==26.1.0", "aiohttp", "pytest-asyncio", "twisted"),
        source="src",
        quick=True,
    ),
    "django-prometheus": Suite(
        "django-prometheus==2.5.0",
        tests=("django_prometheus/tests",),
        requires=("django==5.2.*", "pytest-django", "psycopg[binary]"),
    ),
    "opentelemetry-exporter-prometheus": Suite(
        "opentelemetry-exporter-prometheus==0.66b2",
        requires=("opentelemetry-exporter-prometheus==0.66b2", "opentelemetry-test-utils==0.66b2"),
        source="src",
        quick=True,
    ),
    "flower": Suite(
        "flower==2.2.0",
        tests=("tests/unit",),
        requires=("flower==2.2.0", "redis"),
    ),
    "aiohttp-prometheus-exporter": Suite(
        "aiohttp-prometheus-exporter==0.2.4",
        requires=("aiohttp", "pytest-aiohttp"),
        options=("-o", "asyncio_mode=auto", "-k", "not google"),  # which asks another host
    ),
    "celery-redis-prometheus": Suite(
        "celery-redis-prometheus==2.0.0",
        tests=("src/celery_redis_prometheus/tests",),
        requires=("celery[redis]", "click", "pytest-celery"),
        source="src",
    ),
    "dash-prometheus": Suite(
        "dash-prometheus==2026.9.1",
        requires=("dash",),
        source="src",
        options=("-p", "no:dash"),  # its plugin imports dash too early for the package
    ),
    "default-metrics-asgi": Suite(
        "default-metrics-asgi==0.1.0",
        requires=("starlette", "httpx", "pytest-asyncio"),
    ),
    "discord-ext-prometheus": Suite(
        "discord-ext-prometheus==0.2.1",
        requires=("discord.py",),
    ),
    "dmarc-metrics-exporter": Suite(
        "dmarc-metrics-exporter==1.3.1",
        tests=("dmarc_metrics_exporter",),
        requires=("bite-parser", "pydantic", "structlog", "uvicorn", "xsdata", "pytest-asyncio", "requests", "aiohttp"),
    ),
    "oslo-metrics": Suite(
        "oslo-metrics==0.17.0",
        tests=("oslo_metrics",),
        requires=("oslo-metrics==0.17.0", "oslotest"),
    ),
    "prometheus-summary": Suite(
        "prometheus-summary==0.1.6",
        requires=("quantile-estimator",),
    ),
    "pyramid-prometheus": Suite(
        "pyramid-prometheus==0.6",
        tests=("pyramid_prometheus",),
        requires=("pyramid", "setuptools<81", "mock"),
    ),
    "rq-exporter": Suite(
        "rq-exporter==3.1.0",
        requires=("rq", "redis"),
    ),
    "argus-dpy": Suite(
        "argus-dpy==0.4.2",
        requires=("argus-dpy==0.4.2", "pytest-asyncio", "pytest-aiohttp", "python-dotenv", "hypothesis"),
        source="src",
    ),
    "django-business-metrics": Suite(
        "django-business-metrics==1.0.1",
        requires=("django", "pytest-django"),
    ),
    "duplicacy-exporter": Suite(
        "duplicacy-exporter==0.6.1",
        requires=("duplicacy-exporter==0.6.1",),
    ),
    "gds-metrics": Suite(
        "gds-metrics==0.2.4",
        requires=("flask", "blinker", "pytest-mock"),
    ),
    "huntflow-base-metrics": Suite(
        "huntflow-base-metrics==0.2.1",
        requires=("aiofiles", "fastapi", "litestar", "httpx", "aiohttp", "pytest-asyncio", "pytest-aiohttp"),
        source="src",
        options=("-k", "not test_ok"),  # which expects that a request takes less than 5 ms
    ),
    "ironic-prometheus-exporter": Suite(
        "ironic-prometheus-exporter==4.10.0",
        tests=("ironic_prometheus_exporter/tests",),
        requires=("ironic-prometheus-exporter==4.10.0", "oslotest", "fixtures", "stestr"),
    ),
    "prometheus-pusher": Suite(
        "prometheus-pusher==1.0.0",
        requires=("prometheus-pusher==1.0.0", "pytest-asyncio"),
    ),
    "prometheus-tornado-instrumentator": Suite(
        "prometheus-tornado-instrumentator==0.1.2",
        requires=("tornado",),
        source="src",
    ),
    "requester-kit": Suite(
        "requester-kit==0.6.0",
        requires=(
            "httpx",
            "pydantic",
            "orjson",
            "tenacity",
            "pytest-mock",
            "pytest-fixture-classes",
            "pytest-asyncio",
            "respx",
        ),
    ),
}
