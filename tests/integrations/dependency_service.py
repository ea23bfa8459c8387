"""A FastAPI service with every kind of dependency, and what really ran in it.

The service keeps a `Tally` beside its metrics: what began, how often, and for which tenant. At the end, the metrics
must say the same. ``plan`` is a label of the middleware alone. The first part of a path says where it is bound: in an
async dependency (``/async/``), in the endpoint itself, or in a sync dependency.
"""

import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Security
from fastapi.responses import StreamingResponse
from starlette.middleware.base import BaseHTTPMiddleware

import asyncmetrics
from asyncmetrics import CollectorRegistry, bind_labels
from tests.integrations.dependency_kinds import PAUSE_SECONDS, Dependencies, Metrics, Tally, Tenant, get_plan

__all__ = ("PATHS", "TENANTS", "Service")

TENANTS = ("acme", "initech", "hooli")
PATHS = (
    "/async/coroutine",
    "/async/function",
    "/async/streamed",
    "/async/streamed in threads",
    "/async/background",
    "/async/late",
    "/async/failing",
    "/async/refused",
    "/async/overridden",
    "/endpoint/coroutine",
    "/endpoint/function",
    "/dependency/coroutine",
    "/dependency/function",
)


class Service:
    """An ASGI application; ``tally`` has what really happened, ``registry`` the metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.tally = Tally()
        self.app = _build(self.metrics, self.tally)
        asyncmetrics.instrument(self.app, registry=self.registry, context_labels=["tenant", "plan"])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle a connection; a request is open in the tally until all middleware has ended."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        with self.tally.during("request"):
            await self.app(scope, receive, send)

    def read(self) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
        """Return all samples: by name, the numbers by the sorted labels."""
        found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        for family in self.registry.collect():
            for sample in family.samples:
                found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
        return found


def _build(metrics: Metrics, tally: Tally) -> FastAPI:
    dependencies = Dependencies(metrics, tally)
    app = FastAPI(dependencies=[Depends(dependencies.early), Depends(dependencies.tenant)])
    app.add_middleware(BaseHTTPMiddleware, dispatch=dependencies.dispatch)
    router = APIRouter(dependencies=[Depends(dependencies.lease)])
    for add in (_add_calls, _add_bodies, _add_failures):
        add(router, metrics, tally, dependencies)
    _add_bindings(router, dependencies)
    app.include_router(router)
    app.dependency_overrides[dependencies.real] = dependencies.override
    return app


def _add_calls(router: APIRouter, metrics: Metrics, tally: Tally, own: Dependencies) -> None:
    """Add endpoints that return a value."""
    measured, plan = metrics.measure_endpoint, [Depends(own.bind_plan)]
    twice = {"first": Depends(own.function, use_cache=False), "second": Depends(own.function, use_cache=False)}

    @router.get("/async/coroutine", dependencies=[*plan, *twice.values()])
    @measured
    async def coroutine(
        tenant: Tenant,
        held: Annotated[str, Depends(own.transaction)],
        opened: Annotated[str, Depends(own.opened_async)],
        cached: Annotated[str, Depends(own.coroutine)],
        again: Annotated[str, Depends(own.coroutine)],
        user: Annotated[str, Security(own.user, scopes=["read"])],
    ) -> str:
        with tally.during("endpoint", tenant):
            await anyio.sleep(PAUSE_SECONDS)
            return tenant

    @router.get("/async/function", dependencies=plan)
    @measured
    def function(
        tenant: Tenant,
        held: Annotated[str, Depends(own.session)],
        opened: Annotated[str, Depends(own.opened)],
        basket: Annotated[Any, Depends(own.basket)],
    ) -> str:
        with tally.during("endpoint", tenant):
            time.sleep(PAUSE_SECONDS)
            return tenant


def _add_bodies(router: APIRouter, metrics: Metrics, tally: Tally, own: Dependencies) -> None:
    """Add endpoints that stream, and one with background tasks."""
    measured, plan = metrics.measure_endpoint, [Depends(own.bind_plan)]

    @router.get("/async/streamed", dependencies=plan)
    @measured
    async def streamed(tenant: Tenant, held: Annotated[str, Depends(own.session)]) -> StreamingResponse:
        @metrics.parts
        async def parts() -> AsyncIterator[bytes]:
            with tally.during("parts"):
                for part in (b"a", b"b", b"c"):
                    await anyio.sleep(PAUSE_SECONDS)
                    yield part

        with tally.during("endpoint", tenant):
            return StreamingResponse(parts())

    @router.get("/async/streamed in threads", dependencies=plan)
    @measured
    def streamed_in_threads(tenant: Tenant, held: Annotated[str, Depends(own.transaction)]) -> StreamingResponse:
        @metrics.parts
        def parts() -> Iterator[bytes]:
            with tally.during("parts"):
                for part in (b"a", b"b", b"c"):
                    time.sleep(PAUSE_SECONDS)
                    yield part

        with tally.during("endpoint", tenant):
            return StreamingResponse(parts())

    @router.get("/async/background", dependencies=plan)
    @measured
    async def background(tenant: Tenant, tasks: BackgroundTasks, guard: Annotated[str, Depends(own.guard)]) -> str:
        @metrics.mails
        async def send() -> None:
            with tally.during("mails"):
                await anyio.sleep(PAUSE_SECONDS)

        @metrics.mails
        def send_in_thread() -> None:
            with tally.during("mails"):
                time.sleep(PAUSE_SECONDS)

        with tally.during("endpoint", tenant):
            tasks.add_task(send)
            tasks.add_task(send_in_thread)
            return tenant


def _add_failures(router: APIRouter, metrics: Metrics, tally: Tally, own: Dependencies) -> None:
    """Add endpoints that end otherwise, and one with a dependency that is overridden."""
    measured, plan = metrics.measure_endpoint, [Depends(own.bind_plan)]

    @router.get("/async/late", dependencies=plan)
    @measured
    async def late(tenant: Tenant, held: Annotated[str, Depends(own.session)]) -> str:
        with tally.during("endpoint", tenant), anyio.move_on_after(PAUSE_SECONDS):
            await anyio.sleep_forever()
        tally.count("failure", tenant)
        raise HTTPException(504)

    @router.get("/async/failing", dependencies=plan)
    @measured
    def failing(tenant: Tenant, opened: Annotated[str, Depends(own.opened)]) -> str:
        with tally.during("endpoint", tenant):
            tally.count("failure", tenant)
            raise ConnectionError(tenant)

    @router.get("/async/refused", dependencies=plan)
    @measured
    async def refused(tenant: Tenant, opened: Annotated[str, Depends(own.opened_async)]) -> str:
        with tally.during("endpoint", tenant):
            tally.count("failure", tenant)
            raise HTTPException(404)

    @router.get("/async/overridden", dependencies=plan)
    @measured
    async def overridden(tenant: Tenant, fake: Annotated[str, Depends(own.real)]) -> str:
        with tally.during("endpoint", tenant):
            return fake


def _add_bindings(router: APIRouter, own: Dependencies) -> None:
    """Add routes that bind ``plan`` in the endpoint itself, or in a sync dependency."""

    @router.get("/endpoint/coroutine")
    async def coroutine(tenant: Tenant) -> str:
        bind_labels(plan=get_plan(tenant))
        return tenant

    @router.get("/endpoint/function")
    def function(tenant: Tenant) -> str:
        bind_labels(plan=get_plan(tenant))
        return tenant

    @router.get("/dependency/coroutine", dependencies=[Depends(own.bind_plan_in_thread)])
    async def after_thread(tenant: Tenant, held: Annotated[str, Depends(own.transaction)]) -> str:
        return tenant

    @router.get("/dependency/function", dependencies=[Depends(own.bind_plan_in_thread)])
    def in_threads(tenant: Tenant, held: Annotated[str, Depends(own.session)]) -> str:
        return tenant
