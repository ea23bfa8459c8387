"""Loops of all three kinds, and what the monitor exposes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import pytest

from asyncmetrics import CollectorRegistry
from tests.patience import PATIENCE_SECONDS


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def kind(request: pytest.FixtureRequest) -> str:
    """The name of each kind of loop in turn."""
    return request.param


@pytest.fixture
def run_on() -> Callable[..., Any]:
    """Run a coroutine function on a loop of some kind: ``run_on("uvloop", main)``."""

    def run(kind: str, main: Callable[..., Awaitable[Any]]) -> Any:
        async def limited() -> Any:
            with anyio.fail_after(PATIENCE_SECONDS):
                return await main()

        if kind == "trio":
            return anyio.run(limited, backend="trio")
        return anyio.run(limited, backend="asyncio", backend_options={"use_uvloop": kind == "uvloop"})

    return run


@pytest.fixture
def run_kind(run_on: Callable[..., Any], kind: str) -> Callable[..., Any]:
    """Run a coroutine function on each kind of loop in turn."""
    return partial(run_on, kind)


@pytest.fixture
def read(registry: CollectorRegistry) -> Callable[..., float]:
    """Add up the samples of one name that have some labels, without the functions of other gauges: loops do it too."""

    def read_samples(name: str, **labels: str) -> float:
        samples = [s for family in registry.restricted_registry([name]).collect() for s in family.samples]
        return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())

    return read_samples


@pytest.fixture
def read_async(registry: CollectorRegistry) -> Callable[..., Awaitable[dict[str, float]]]:
    """Read the samples of one name on a loop, as a dict by the value of one label."""

    async def read_samples(name: str, label: str) -> dict[str, float]:
        families = await registry.restricted_registry([name]).collect_async()
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return {sample.labels.get(label, ""): sample.value for sample in samples}

    return read_samples
