"""The exposition as a view of Django."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from django.views import View

from asyncmetrics.prometheus_client.exposition import bake_output
from asyncmetrics.prometheus_client.registry import REGISTRY
from asyncmetrics.registry import Collectable

__all__ = ("PrometheusDjangoView",)


class PrometheusDjangoView(View):  # type: ignore[misc]  # Django has no types
    """Serve ``registry``, the default one unless another is passed to ``as_view``; all workers share their metrics."""

    multiprocess_mode: ClassVar[bool] = False  # read by nothing: the default registry has all workers
    registry: Collectable | None = None

    def get(self, request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
        """Answer with the exposition."""
        headers: Any = request.headers
        params: Any = dict(request.GET.lists())
        status, response_headers, output = bake_output(
            self.registry or REGISTRY, headers.get("Accept"), headers.get("Accept-Encoding"), params, False
        )
        return HttpResponse(output, status=int(status[:3]), headers=dict(response_headers))

    def options(self, request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:  # noqa: ARG002
        """Answer with the methods."""
        return HttpResponse(status=200, headers={"Allow": "OPTIONS,GET"})
