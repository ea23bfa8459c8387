"""What the errors about wrong registries and families advise, above all those of prometheus_client."""

from __future__ import annotations

from asyncmetrics.errors import DefinitionError
from asyncmetrics.model.checks import make_refusal

__all__ = ("is_of_prometheus_client", "make_family_hint", "refuse_registry")

_BRIDGE = "asyncmetrics.bridges.prometheus_client.PrometheusClientCollector"


def is_of_prometheus_client(value: object) -> bool:
    """Return whether ``value`` is an object of prometheus_client, or of a class that is derived from one of its own."""
    return any(base.__module__.startswith("prometheus_client.") for base in type(value).__mro__)


def refuse_registry(registry: object) -> DefinitionError:
    """Return the error for a ``registry`` that is none."""
    return make_refusal("registry", "a CollectorRegistry of asyncmetrics", registry, _advise(registry))


def make_family_hint(family: object) -> str:
    """Return what to do with a ``family`` of prometheus_client, as the end of a message; an empty text for another."""
    return f": wrap its collector in {_BRIDGE}" if is_of_prometheus_client(family) else ""


def _advise(registry: object) -> str:
    if isinstance(registry, type):
        return "create one, CollectorRegistry(), or leave registry= out for the default one"
    if registry is None:
        return "leave registry= out for the default one"
    if not is_of_prometheus_client(registry):
        return ""
    return (
        "change the import to 'from asyncmetrics import REGISTRY, CollectorRegistry'; "
        f"{_BRIDGE} exposes what is registered with prometheus_client"
    )
