"""One line for each framework: `instrument` makes an application measured and its metrics readable."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from asyncmetrics.errors import DefinitionError
from asyncmetrics.metrics import Histogram
from asyncmetrics.middleware.asgi import Exclusion
from asyncmetrics.registry import REGISTRY, CollectorRegistry
from asyncmetrics.typing import Scope

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
    registry: CollectorRegistry = REGISTRY,
    exclude: Iterable[Exclusion] = (),
    route: Callable[[Scope], str | None] | None = None,
    buckets: Iterable[float | str] = Histogram.DEFAULT_BUCKETS,
) -> A:
    """Measure ``app`` from the outside, serve its metrics at ``path``, and return it.

    ``path`` answers with and without a slash at its end, before any route of the application, and is neither measured
    nor part of an OpenAPI schema; None serves nothing. The other arguments are those of `MetricsMiddleware`. An
    application that is instrumented already stays as it is.

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
    options: dict[str, Any] = {"registry": registry, "exclude": exclude, "route": route, "buckets": buckets}
    framework.instrument(app, path=path, **options)
    return app
