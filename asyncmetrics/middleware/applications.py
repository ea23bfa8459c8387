"""What is no application that can be measured, and what to do with it instead: one table, for each mistake its advice.

An object is looked up by the names of its classes, so that no framework is imported, then by its type, and at last by
the arguments that it can be called with: three are ASGI, two are WSGI, none is a factory.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import isawaitable, isclass, ismodule, signature
from typing import Any

from asyncmetrics.errors import DefinitionError
from asyncmetrics.model.checks import make_refusal

__all__ = ("check_application", "make_application_error")

_WSGI = (
    "this is a WSGI application; mount make_wsgi_app() beside it or call start_http_server(9000) to serve the metrics, "
    "and measure its functions by CallMetrics"
)
_ROUTER = "this is a part of an application: instrument the {} application that includes it"
_MEASURED = "this measures already; pass the application inside it, or serve the metrics by make_asgi_app()"
_SCRAPES = "this serves the metrics and needs no measuring; mount it in your application"
_OTHER_SERVER = "this is no ASGI application; serve the metrics by start_http_server(9000) and measure by CallMetrics"
_ADVICE = {
    "fastapi.routing.APIRouter": _ROUTER.format("FastAPI"),
    "starlette.routing.Router": _ROUTER.format("Starlette"),
    "starlette.routing.BaseRoute": _ROUTER.format("Starlette"),
    "litestar.router.Router": _ROUTER.format("Litestar"),
    "litestar.controller.Controller": _ROUTER.format("Litestar"),
    "quart.blueprints.Blueprint": _ROUTER.format("Quart"),
    "django.core.handlers.wsgi.WSGIHandler": (
        "this is Django's WSGI application: pass what get_asgi_application() returns and serve it by an ASGI server; "
        "under WSGI, make_wsgi_app() serves the metrics"
    ),
    "flask.app.Flask": f"{_WSGI}; Quart is Flask for ASGI",
    "flask.sansio.blueprints.Blueprint": _WSGI,
    "falcon.asgi.app.App": "wrap it in MetricsMiddleware(app)",
    "falcon.app.App": _WSGI,
    "bottle.Bottle": _WSGI,
    "pyramid.router.Router": _WSGI,
    "aiohttp.web_app.Application": _OTHER_SERVER,
    "tornado.web.Application": _OTHER_SERVER,
    "celery.app.base.Celery": "this is no web application: decorate its tasks by CallMetrics",
    "asyncmetrics.middleware.asgi.MetricsMiddleware": _MEASURED,
    "asyncmetrics.exposition.asgi._Exposition": _SCRAPES,
}
_NO_APPLICATION = "it cannot be called with scope, receive and send, as ASGI applications are"


def make_application_error(function: str, expected: str, app: object, advice: str = "") -> DefinitionError:
    """Return the error for ``app``, which ``function`` cannot measure, with ``advice``, or that for what it is."""
    return make_refusal(function, expected, app, advice or _advise_by_name(app) or _advise_by_shape(app))


def check_application(app: object) -> None:
    """Raise `DefinitionError` unless ``app`` can be called as an ASGI application, as far as its signature says."""
    advice = _advise_by_shape(app)
    if advice:
        expected = "an ASGI application, called with scope, receive and send"
        raise make_refusal("MetricsMiddleware(app)", expected, app, _advise_by_name(app) or advice)


def _advise_by_name(app: object) -> str:
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in type(app).__mro__)
    return next((_ADVICE[name] for name in names if name in _ADVICE), "")


def _advise_by_shape(app: Any) -> str:
    """Return advice for what cannot be called as an ASGI application; an empty text for all else."""
    if isinstance(app, str):
        module, _, name = app.partition(":")
        how = f"from {module} import {name or 'app'}" if module.replace(".", "_").isidentifier() else "import it"
        return f"pass the application itself and not its name: {how}"
    if app is None:
        return "does the function that creates the application return it?"
    if ismodule(app):
        return f"pass the application in this module, {app.__name__}.app"
    if isawaitable(app):
        return "await it first, and pass the application that it returns"
    if isclass(app) and not hasattr(app, "__await__"):  # Starlette's endpoints are classes, called with the three
        return f"create an application first: {app.__name__}()"
    if not callable(app):
        return _NO_APPLICATION
    if _can_be_called(app, 3):
        return ""
    if _can_be_called(app, 2):
        return _WSGI
    if _can_be_called(app, 0):
        return "if it creates the application, call it and pass the result"
    return _NO_APPLICATION


def _can_be_called(app: Callable[..., object], count: int) -> bool:
    try:
        parameters = signature(app)
    except (TypeError, ValueError):  # written in C, without a signature
        return True
    try:
        parameters.bind(*(None,) * count)
    except TypeError:
        return False
    return True
