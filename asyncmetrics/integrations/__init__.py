"""One call for each framework: `instrument` measures an application and serves its metrics.

To add an integration, say with Redis, add one file, ``integrations/redis.py``, with a function ``instrument``, and one
entry in the table below, which leads from the name of a class to that file. The file imports the framework or client
that it measures, and:

- `asyncmetrics.metrics` for the metrics of a client such as Redis;
- for a web framework, ``integrations/outermost.py`` and ``integrations/options.py``, and
  `asyncmetrics.middleware.scope` to write the framework's route and exceptions into the scope of a request.

A client has none of the options of `InstrumentOptions`: its ``instrument`` must refuse them. Raise `MissingExtraError`
if the library is not installed, and add the extra to pyproject.toml.

The table holds names, so an application loads the integration of its own framework only.
"""

from __future__ import annotations

import importlib
from typing import Any, TypeVar

from asyncmetrics.integrations.options import INSTRUMENT_DEFAULTS, InstrumentOptions
from asyncmetrics.integrations.outermost import find_outermost
from asyncmetrics.middleware.applications import make_application_error
from asyncmetrics.middleware.options import show_options
from asyncmetrics.typing import Unpack

__all__ = ("InstrumentOptions", "instrument", "uninstrument")

A = TypeVar("A")

# The class of an application, searched among its bases from the most derived on, and its integration.
_FRAMEWORKS = {
    "fastapi.applications.FastAPI": "asyncmetrics.integrations.fastapi",
    "starlette.applications.Starlette": "asyncmetrics.integrations.starlette",
    "litestar.app.Litestar": "asyncmetrics.integrations.litestar",
    "quart.app.Quart": "asyncmetrics.integrations.quart",
    "django.core.handlers.asgi.ASGIHandler": "asyncmetrics.integrations.django",
}

_EXPECTED = (
    "an application of FastAPI, Starlette, Litestar or Quart, or Django's ASGI application "
    "(MetricsMiddleware(app) measures any other ASGI application)"
)


@show_options(InstrumentOptions, INSTRUMENT_DEFAULTS)
def instrument(app: A, **options: Unpack[InstrumentOptions]) -> A:
    """Measure ``app`` from the outside, serve its metrics at ``path``, and return it.

    - ``path``: where the metrics are served, before any route of the application, with and without a slash at the end.
      Scrapes are not measured, and the path is in no OpenAPI schema. None serves them nowhere.
    - ``auth``: which clients may read them: a bearer token, a ``(user, password)``, or a predicate of the ASGI scope.
    - ``max_concurrent``: the limit of scrapes at the same time, as for `make_asgi_app`.

    The other options are those of `MetricsMiddleware`. If the application is instrumented already, the options of the
    first call stay, and a warning is logged for those of this one.

    Raises `DefinitionError` for anything else, with the advice that fits it (a `MetricsMiddleware` wraps any other ASGI
    application), or for a wrong value of an option, and `TypeError` for an unknown option.
    """
    framework: Any = importlib.import_module(_find_integration("instrument", app))
    framework.instrument(app, **options)
    return app


def uninstrument(app: A) -> A:
    """Undo `instrument`: measure ``app`` no more, serve its metrics no more, and return it.

    The application is as it was before, also if other libraries have changed it since. The metrics stay in their
    registry, with their values. It may be instrumented again, with other options. An application that is not
    instrumented stays as it is.

    Raises `DefinitionError` for an application of an unknown framework.
    """
    _find_integration("uninstrument", app)
    outermost = find_outermost(app)
    if outermost is not None:
        outermost.release()
    return app


def _find_integration(function: str, app: object) -> str:
    """Return the name of the module that instruments ``app``."""
    names = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(app).__mro__]
    module = next((_FRAMEWORKS[name] for name in names if name in _FRAMEWORKS), None)
    if module is None:
        raise make_application_error(f"{function}(app)", _EXPECTED, app)
    return module
