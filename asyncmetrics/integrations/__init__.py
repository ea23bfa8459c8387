"""One line for each framework: `instrument` makes an application measured and its metrics readable."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from asyncmetrics.errors import DefinitionError
from asyncmetrics.exposition import MAX_CONCURRENT, Auth
from asyncmetrics.metrics import Histogram
from asyncmetrics.middleware.asgi import Buckets, Conventions, Exclusion, ExtraLabel, RouteCallable
from asyncmetrics.registry import REGISTRY, CollectorRegistry

__all__ = ("instrument",)

A = TypeVar("A")

# The class of an application, found among its bases from the most special on, and who knows how to instrument it.
_FRAMEWORKS = {
    "fastapi.applications.FastAPI": "asyncmetrics.integrations.fastapi",
    "starlette.applications.Starlette": "asyncmetrics.integrations.starlette",
    "litestar.app.Litestar": "asyncmetrics.integrations.litestar",
    "quart.app.Quart": "asyncmetrics.integrations.quart",
    "django.core.handlers.asgi.ASGIHandler": "asyncmetrics.integrations.django",
}


def instrument(
    app: A,
    *,
    path: str | None = "/metrics",
    auth: Auth | None = None,
    max_concurrent: int = MAX_CONCURRENT,
    registry: CollectorRegistry = REGISTRY,
    exclude: Iterable[Exclusion] = (),
    route: RouteCallable | None = None,
    buckets: Buckets = Histogram.DEFAULT_BUCKETS,
    first_byte: bool = False,
    body_sizes: bool = False,
    background: bool = False,
    extra_labels: Mapping[str, ExtraLabel] | None = None,
    context_labels: Iterable[str] = (),
    conventions: Conventions = "prometheus",
) -> A:
    """Measure ``app`` from the outside, serve its metrics at ``path``, and return it.

    ``path`` answers with and without a slash at its end, before any route of the application, and is neither measured
    nor part of an OpenAPI schema; None serves nothing. ``auth`` says who may read there: a bearer token, a
    ``(user, password)``, or a predicate of the ASGI scope; ``max_concurrent`` limits the scrapes at a time, as with
    `make_asgi_app`. An application that is instrumented already stays as it is.

    The other arguments are those of `MetricsMiddleware`: what to leave out (``exclude``), how to tell routes
    (``route``), the bounds of durations in seconds, or of each histogram by its name (``buckets``), which more to
    measure (``first_byte``, ``body_sizes``, ``background``), and the labels that are added (``extra_labels``,
    ``context_labels``) or named after OpenTelemetry (``conventions``).

    Raises `DefinitionError` for an application of no framework that is known here (wrap it in a `MetricsMiddleware`).
    """
    names = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(app).__mro__]
    module = next((_FRAMEWORKS[name] for name in names if name in _FRAMEWORKS), None)
    if module is None:
        raise DefinitionError(
            f"instrument({type(app).__name__})",
            f"expected an application of one of {sorted(_FRAMEWORKS)}; wrap any other in MetricsMiddleware(app)",
        )
    framework: Any = importlib.import_module(module)
    framework.instrument(
        app,
        path=path,
        auth=auth,
        max_concurrent=max_concurrent,
        registry=registry,
        exclude=exclude,
        route=route,
        buckets=buckets,
        first_byte=first_byte,
        body_sizes=body_sizes,
        background=background,
        extra_labels=extra_labels,
        context_labels=context_labels,
        conventions=conventions,
    )
    return app
