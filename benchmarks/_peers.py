"""The contenders of a benchmark, made by one function for each library, and the versions of the libraries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TypeAlias

from benchmarks._measure import Run, describe_problem

__all__ = ("Contenders", "Maker", "find_versions", "make_contenders")

Maker: TypeAlias = Callable[[], Mapping[str, Run]]
"""Import a library and return its run for each discipline."""
Contenders: TypeAlias = dict[str, dict[str, "Run | str"]]
"""For each discipline and contender, its run or the reason why there is none."""

_DISTRIBUTIONS = (
    "asyncmetrics-prometheus",
    "prometheus_client",
    "protobuf",
    "prometheus-async",
    "prometheus-remote-writer",
    "aioprometheus",
    "pytheus",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation",
    "opentelemetry-instrumentation-asgi",
    "prometheus-fastapi-instrumentator",
    "starlette_exporter",
    "starlette-prometheus",
    "asgi-prometheus",
    "aiosqlite",
    "asyncpg",
    "httpx",
    "psycopg",
    "redis",
    "requests",
    "sqlalchemy",
    "starlette",
    "fastapi",
    "uvicorn",
    "uvloop",
    "httptools",
)


def make_contenders(makers: Mapping[str, Maker]) -> Contenders:
    """Return the contenders of each discipline; a library that is missing or broken is there with the reason."""
    runs_of: dict[str, Mapping[str, Run] | str] = {}
    for contender, make in makers.items():
        try:
            runs_of[contender] = make()
        except Exception as error:  # noqa: BLE001  # a peer that is missing or broken is a result
            runs_of[contender] = describe_problem(error)
    disciplines: Contenders = {}
    for runs in runs_of.values():
        for discipline in runs if not isinstance(runs, str) else ():
            disciplines.setdefault(discipline, {})
    for discipline, contenders in disciplines.items():
        for contender, runs in runs_of.items():
            if isinstance(runs, str):
                contenders[contender] = runs
            elif discipline in runs:
                contenders[contender] = runs[discipline]
    return disciplines


def find_versions() -> dict[str, str]:
    """Return the version of each library, or ``"not installed"``."""
    versions = {}
    for name in _DISTRIBUTIONS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions
