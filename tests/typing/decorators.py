"""Decorated callables keep their types; wrong calls are errors. Checked by mypy --strict and pyright, never run."""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from starlette.applications import Starlette

from asyncmetrics import (
    CallMetrics,
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    MetricsMiddleware,
    Summary,
    bound_labels,
    instrument,
)
from asyncmetrics.children.interfaces import CounterChild, EnumChild
from asyncmetrics.timing import Instrument

if TYPE_CHECKING:
    from typing_extensions import assert_type

h = Histogram("h", "H.")
c = Counter("c", "C.", ["kind"])
g = Gauge("g", "G.")
s = Summary("s", "S.")
track = CallMetrics("calls", "Calls.")


@h.time()
def plain(x: int, *, y: str = "") -> float:
    return x / 2


@c.count_exceptions(ValueError, labels=lambda x: {"kind": x})
async def coroutine(x: int) -> str:
    return str(x)


@c.count_exceptions
def without_parentheses(x: int) -> str:
    return str(x)


@g.track_inprogress()
def generator(x: int) -> Iterator[int]:
    yield x


@track
async def async_generator(x: int) -> AsyncIterator[int]:
    yield x


class Holder:
    @s.time()
    async def method(self, x: int) -> str:
        return str(x)


@bound_labels(tenant="acme")
async def bound_coroutine(x: int) -> str:
    return str(x)


@bound_labels(tenant="acme")
def bound_generator(x: int) -> Iterator[int]:
    yield x


async def use_bound() -> None:
    assert_type(await bound_coroutine(1), str)
    assert_type(bound_generator(1), Iterator[int])
    with bound_labels(tenant="acme"):
        async with bound_labels(tenant=lambda: "acme"):
            pass
    bound_labels(tenant="acme")(5)  # type: ignore[type-var]
    await bound_coroutine("x")  # type: ignore[arg-type]


async def use() -> None:
    assert_type(plain(1, y="a"), float)
    assert_type(await coroutine(1), str)
    assert_type(without_parentheses(1), str)
    assert_type(generator(1), Iterator[int])
    assert_type(async_generator(1), AsyncIterator[int])
    assert_type(await Holder().method(1), str)
    assert_type(await h.time(coroutine(1)), str)
    assert_type(await c.count_exceptions(coroutine(1)), str)
    assert_type(await g.track_inprogress(coroutine(1)), str)
    with h.time() as timing:
        timing.labels("x")
    assert_type(timing.duration, float)
    assert_type(instrument(Starlette()), Starlette)
    assert_type(instrument(Starlette(), path=None, auth="token", exclude=["/health"]), Starlette)
    Starlette().add_middleware(MetricsMiddleware, exclude=["/health"])
    c.labels("x").inc(1, exemplar={"trace_id": "abc"})
    c.labels(kind=5).inc()


def declare() -> None:
    """The arguments before the star have prometheus_client's order; a kind's own option is a keyword."""
    registry = CollectorRegistry()
    assert_type(Counter("c", "C.", ["n"], "shop", "cart", "bytes", registry), Counter)
    assert_type(Histogram("h", "H.", (), "shop", "", "", registry, buckets=["0.1", 1]), Histogram)
    assert_type(Gauge("g", "G.", (), "", "", "", None, multiprocess_mode="livesum", ttl=5), Gauge)
    assert_type(Enum("e", "E.", ["n"], states=("on", "off"), context_labels=["tenant"]), Enum)
    assert_type(Counter("c", "C.", per_worker=True), Counter)
    assert_type(Summary("s", "S.", per_worker=True), Summary)
    assert_type(Histogram("h", "H.", buckets=[1], per_worker=True), Histogram)
    assert_type(Counter("c", "C.", exemplars="trace"), Counter)
    assert_type(Histogram("h", "H.", exemplars=lambda: {"order": "7"}), Histogram)
    assert_type(instrument(Starlette(), exemplars="traceparent"), Starlette)
    assert_type(Enum("e", "E.", ["n"], states=("on", "off")).labels("a"), EnumChild)
    assert_type(registry.get_or_create(Histogram, "h", "H.", buckets=[1]), Histogram)


def wrong() -> None:
    plain("1")  # type: ignore[arg-type]
    plain(1, z=2)  # type: ignore[call-arg]
    c.labels("x").inc("1")  # type: ignore[arg-type]
    c.observe(1)  # type: ignore[attr-defined]
    h.inc()  # type: ignore[attr-defined]
    g.labels("x").observe(1)  # type: ignore[attr-defined]
    Counter("c")  # type: ignore[call-arg]
    Counter("c", "C.", exemplars="span")  # type: ignore[arg-type]
    Histogram("h", "H.", exemplars=len)  # type: ignore[arg-type]
    Gauge("g", "G.", exemplars="trace")  # type: ignore[arg-type]
    Histogram("h", "H.", buckets=5)  # type: ignore[arg-type]
    Gauge("g", "G.", multiprocess_mode="average")  # type: ignore[arg-type]
    Counter("c", "C.", buckets=[1])  # type: ignore[arg-type]
    Counter("c", "C.", states=["on"])  # type: ignore[arg-type]
    Gauge("g", "G.", buckets=[1])  # type: ignore[arg-type]
    Summary("s", "S.", multiprocess_mode="sum")  # type: ignore[arg-type]
    Info("i", "I.", states=["on"])  # type: ignore[arg-type]
    Gauge("g", "G.", per_worker=True)  # type: ignore[arg-type]
    Counter("c", "C.", per_worker="yes")  # type: ignore[arg-type]
    Enum("e", "E.", buckets=[1], states=["on"])  # type: ignore[arg-type]
    Histogram("h", "H.", states=["on"])  # type: ignore[arg-type]
    Histogram("h", "H.", mode="sum")  # type: ignore[call-arg]
    CollectorRegistry().get_or_create(Counter, "c", "C.", buckets=[1])  # type: ignore[arg-type]
    Instrument(h)  # type: ignore[abstract]
    CounterChild()  # type: ignore[abstract]
    MetricsMiddleware(Starlette(), registry="registry")  # type: ignore[arg-type]
    MetricsMiddleware(Starlette(), path="/metrics")  # type: ignore[call-arg]
    instrument(Starlette(), exclude=7)  # type: ignore[call-overload]
    instrument(Starlette(), paths="/metrics")  # type: ignore[call-overload]
