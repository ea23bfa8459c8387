"""FastAPI: as Starlette; the exposition is no route, so it is in no OpenAPI schema either.

`instrument` here takes the arguments of `asyncmetrics.instrument`.
"""

from __future__ import annotations

from asyncmetrics.errors import MissingExtraError

try:
    import fastapi  # noqa: F401  # only to tell early, and by the right extra
except ImportError as error:
    raise MissingExtraError("instrumenting a FastAPI application", "fastapi", "fastapi") from error

from asyncmetrics.integrations.starlette import instrument

__all__ = ("instrument",)
