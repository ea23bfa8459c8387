"""Who takes part: makers of contestants, and the versions of their libraries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TypeAlias

from benchmarks._measure import Run, problem

__all__ = ("Contestants", "Maker", "contestants", "versions")

Maker: TypeAlias = Callable[[], Mapping[str, Run]]
"""Import a library and return what it can do, by discipline."""
Contestants: TypeAlias = dict[str, dict[str, "Run | str"]]

_DISTRIBUTIONS = (
    "asyncmetrics-prometheus",
    "prometheus_client",
    "prometheus-async",
    "aioprometheus",
    "pytheus",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation-asgi",
    "prometheus-fastapi-instrumentator",
    "starlette_exporter",
    "starlette-prometheus",
    "asgi-prometheus",
    "starlette",
    "fastapi",
    "uvicorn",
    "uvloop",
    "httptools",
)


def contestants(makers: Mapping[str, Maker]) -> Contestants:
    """Return the contestants of each discipline of the first maker; who cannot be had is there with the reason."""
    made: dict[str, Mapping[str, Run] | str] = {}
    for who, make in makers.items():
        try:
            made[who] = make()
        except Exception as error:  # noqa: BLE001  # a peer that is missing or broken is a result
            made[who] = problem(error)
    disciplines: Contestants = {}
    for runs in made.values():
        for what in runs if not isinstance(runs, str) else ():
            disciplines.setdefault(what, {})
    for what, entered in disciplines.items():
        for who, runs in made.items():
            if isinstance(runs, str):
                entered[who] = runs
            elif what in runs:
                entered[who] = runs[what]
    return disciplines


def versions() -> dict[str, str]:
    """Return the version of each library that is installed."""
    found = {}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
