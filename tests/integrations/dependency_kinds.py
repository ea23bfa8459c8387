"""Every kind of FastAPI dependency, each measured as a user would, and a `Tally` of what really ran.

The header ``tenant`` chooses the tenant. A dependency of the whole application binds it, so every metric that is used
after that has it as a context label.
"""

import threading
import time
from collections import Counter as Multiset
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import anyio
from fastapi import Depends, Header, Request
from fastapi.security import SecurityScopes

from asyncmetrics import CallMetrics, CollectorRegistry, Counter, Gauge, Histogram, bind_labels, bound_labels

__all__ = ("AREA", "PAUSE_SECONDS", "Dependencies", "Metrics", "Tally", "Tenant", "get_plan")

PAUSE_SECONDS = 0.002
AREA = "shop"
_NO_TENANT = ""
Call = tuple[str, str]  # what was called, and the tenant


Tenant = Annotated[str, Header()]


def get_plan(tenant: str) -> str:
    """Return the plan of a tenant."""
    return f"plan of {tenant}"


class Tally:
    """What has begun and what has not ended, by the name of the measured thing and the tenant."""

    def __init__(self) -> None:
        self.begun: Multiset[Call] = Multiset()
        self.open: Multiset[Call] = Multiset()
        self._lock = threading.Lock()

    def count(self, what: str, tenant: str = _NO_TENANT) -> None:
        """Count something that begins and ends at once."""
        with self._lock:
            self.begun[what, tenant] += 1

    @contextmanager
    def during(self, what: str, tenant: str = _NO_TENANT) -> Iterator[None]:
        """Count what the block does."""
        self.count(what, tenant)
        with self._lock:
            self.open[what, tenant] += 1
        try:
            yield
        finally:
            with self._lock:
                self.open[what, tenant] -= 1

    def get(self, what: str) -> dict[str, int]:
        """Return how often something has begun, by tenant."""
        return {tenant: number for (name, tenant), number in self.begun.items() if name == what}


class Metrics:
    """The metrics of the service: a user has them as globals of a module."""

    def __init__(self, registry: CollectorRegistry) -> None:
        tenant = {"context_labels": ["tenant"], "registry": registry}
        self.early = Gauge("early", "Requests, from before their tenant is known.", **tenant)
        self.running = Gauge("running", "Dependencies that are open.", ["kind"], **tenant)
        self.seconds = Histogram("dependency_seconds", "How long dependencies are open.", ["kind"], **tenant)
        self.endpoints = Gauge("endpoints", "Endpoints that run.", **tenant)
        both = {"context_labels": ["tenant", "area"], "registry": registry}
        self.endpoint_seconds = Histogram("endpoint_seconds", "How long endpoints run.", **both)
        self.failures = Counter("failures", "Exceptions of endpoints.", **tenant)
        self.passing = Gauge("passing", "Requests in the application's own middleware.", registry=registry)
        self.db = CallMetrics("db", "Transactions.", registry=registry)
        self.cache = CallMetrics("cache", "Leases of the cache.", registry=registry)
        self.mails = CallMetrics("mails", "Mails sent in the background.", registry=registry)
        self.parts = CallMetrics("parts", "Bodies that are streamed.", registry=registry)

    def measure_endpoint(self, function: Any) -> Any:
        """Decorate an endpoint."""
        counted = self.failures.count_exceptions()(function)
        return self.endpoints.track_inprogress()(self.endpoint_seconds.time()(counted))


class Dependencies:
    """Every kind of dependency, each measured by a gauge and a histogram of its kind, or by shared `CallMetrics`."""

    def __init__(self, metrics: Metrics, tally: Tally) -> None:
        self._metrics = metrics
        self._tally = tally
        self.function = self._measure("function")(self._make_function())
        self.coroutine = self._measure("coroutine")(self._make_coroutine())
        self.basket = self._make_class()
        self.guard = self._make_instance()
        self.session = self._make_session()

    def _measure(self, kind: str) -> Callable[[Any], Any]:
        """Return a decorator for a dependency."""
        track, measure = (
            self._metrics.running.labels(kind).track_inprogress(),
            self._metrics.seconds.labels(kind).time(),
        )
        return lambda dependency: track(measure(dependency))

    @contextmanager
    def _measured(self, kind: str, tenant: str) -> Iterator[None]:
        """Measure a block with instruments of its own."""
        with self._metrics.running.labels(kind).track_inprogress(), self._metrics.seconds.labels(kind).time():
            with self._tally.during(kind, tenant):
                yield

    def _make_function(self) -> Callable[..., str]:
        def function(tenant: Tenant) -> str:
            with self._tally.during("function", tenant):
                time.sleep(PAUSE_SECONDS)
                return tenant

        return function

    def _make_coroutine(self) -> Callable[..., Awaitable[str]]:
        async def coroutine(tenant: Tenant) -> str:
            with self._tally.during("coroutine", tenant):
                await anyio.sleep(PAUSE_SECONDS)
                return tenant

        return coroutine

    def _make_class(self) -> type[Any]:
        measured = self._measured

        class Basket:
            def __init__(self, tenant: Tenant) -> None:
                with measured("class", tenant):
                    time.sleep(PAUSE_SECONDS)

        return Basket

    async def dispatch(self, request: Request, call_next: Callable[[Request], Awaitable[Any]]) -> Any:
        """Be the application's own middleware, which runs everything else in another task."""
        with self._metrics.passing.track_inprogress(), self._tally.during("passing"):
            return await call_next(request)

    async def early(self) -> AsyncIterator[None]:
        """Track a request from before its tenant is bound until after that."""
        with self._metrics.early.track_inprogress(), self._tally.during("early"):
            yield

    async def tenant(self, tenant: Tenant) -> None:
        """Bind the tenant for the rest of the request."""
        bind_labels(tenant=tenant)
        self._tally.count("bound", tenant)

    async def lease(self, tenant: Tenant) -> AsyncIterator[None]:
        """Bind the area, and lease the cache, for the request."""
        with bound_labels(area=AREA):
            async with self._metrics.cache:
                with self._tally.during("cache"):
                    yield

    def pool(self, tenant: Tenant) -> Iterator[str]:
        """Be a dependency of `session`."""
        with self._measured("sub-dependency", tenant):
            yield tenant

    def _make_instance(self) -> Any:
        measured = self._measured

        class Guard:
            async def __call__(self, tenant: Tenant) -> str:
                with measured("instance", tenant):
                    await anyio.sleep(PAUSE_SECONDS)
                    return tenant

        return Guard()

    def _make_session(self) -> Callable[..., Iterator[str]]:
        """Return what holds a transaction, in the sync way, on the `CallMetrics` that all requests share."""

        def session(pool: Annotated[str, Depends(self.pool)]) -> Iterator[str]:
            with self._metrics.db, self._tally.during("db"):
                time.sleep(PAUSE_SECONDS)
                yield pool

        return session

    async def transaction(self, tenant: Tenant) -> AsyncIterator[str]:
        """Hold a transaction, in the async way, on the same `CallMetrics`."""
        async with self._metrics.db:
            with self._tally.during("db"):
                await anyio.sleep(PAUSE_SECONDS)
                yield tenant

    def opened(self, tenant: Tenant) -> Iterator[str]:
        """Be open during the request."""
        with self._measured("sync yield", tenant):
            yield tenant

    async def opened_async(self, tenant: Tenant) -> AsyncIterator[str]:
        """As `opened`, in the async way."""
        kind = "async yield"
        async with self._metrics.running.labels(kind).track_inprogress(), self._metrics.seconds.labels(kind).time():
            with self._tally.during(kind, tenant):
                yield tenant

    async def user(self, scopes: SecurityScopes, tenant: Tenant) -> str:
        """Be a dependency of `Security`."""
        with self._measured("security", tenant):
            await anyio.sleep(PAUSE_SECONDS)
            return scopes.scope_str

    def real(self) -> str:
        """Be overridden: nothing calls this."""
        raise AssertionError("the override was not used")

    def override(self, tenant: Tenant) -> Iterator[str]:
        """Be used instead of `real`."""
        with self._measured("override", tenant):
            yield tenant

    async def bind_plan(self, tenant: Tenant) -> None:
        """Bind the middleware's label in an async dependency."""
        bind_labels(plan=get_plan(tenant))

    def bind_plan_in_thread(self, tenant: Tenant) -> None:
        """Bind the middleware's label in a sync dependency."""
        bind_labels(plan=get_plan(tenant))
