"""FastAPI: the integration of Starlette. The exposition is not a route, so it is in no OpenAPI schema either.

`instrument` here has the arguments of `asyncmetrics.instrument`.
"""

from __future__ import annotations

from asyncmetrics.errors import MissingExtraError

try:
    import fastapi  # noqa: F401  # so that the error names this extra, not that of Starlette
except ImportError as error:
    raise MissingExtraError("instrumenting a FastAPI application", "fastapi", "fastapi") from error

from asyncmetrics.integrations.starlette import instrument, uninstrument

__all__ = ("instrument", "uninstrument")
