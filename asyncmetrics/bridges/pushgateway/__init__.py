"""Metrics pushed to a Pushgateway, for jobs that end before they are scraped.

https://prometheus.io/docs/practices/pushing/ says when to push. The functions (`requests`) wait for the answer. On an
event loop use the sink: ``Pusher(Pushgateway("http://gateway:9091"))``.

===================== ============================================================================================
``requests``          `push_to_gateway` and its relatives, handlers, and the URL of a group
``sink``              `Pushgateway`, the sink
===================== ============================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncmetrics.bridges.pushgateway.requests import (
    Handler,
    basic_auth_handler,
    default_handler,
    delete_from_gateway,
    instance_ip_grouping_key,
    passthrough_redirect_handler,
    push_to_gateway,
    pushadd_to_gateway,
    tls_auth_handler,
)

if TYPE_CHECKING:
    from asyncmetrics.bridges.pushgateway.sink import Pushgateway

__all__ = (
    "Handler",
    "Pushgateway",
    "basic_auth_handler",
    "default_handler",
    "delete_from_gateway",
    "instance_ip_grouping_key",
    "passthrough_redirect_handler",
    "push_to_gateway",
    "pushadd_to_gateway",
    "tls_auth_handler",
)

if not TYPE_CHECKING:  # with it, type checkers would take any name for one of the package

    def __getattr__(name: str) -> object:
        """Load the sink at its first use: the functions need no event loop and no HTTP client."""
        if name != "Pushgateway":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from asyncmetrics.bridges.pushgateway.sink import Pushgateway

        globals()[name] = Pushgateway  # the next use finds it without this function
        return Pushgateway


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
