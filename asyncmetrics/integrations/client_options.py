"""The options of `instrument` for clients: HTTP clients, databases, pools, loggers. Each kind has a ``TypedDict``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypedDict, get_args

from asyncmetrics.context.exemplars import ExemplarSource, find_provider
from asyncmetrics.metrics import Histogram
from asyncmetrics.middleware import Conventions
from asyncmetrics.model.checks import check_choice, check_flag, check_text, make_refusal
from asyncmetrics.model.names import check_namespace
from asyncmetrics.registry import REGISTRY, CollectorRegistry, check_full_registry

__all__ = (
    "CLIENT_DEFAULTS",
    "DATABASE_DEFAULTS",
    "HTTP_CLIENT_DEFAULTS",
    "ClientOptions",
    "DatabaseOptions",
    "HttpClientOptions",
    "ServerNames",
    "check_client_options",
    "name_label",
)

ServerNames: TypeAlias = Mapping[str, str] | Callable[[str], str]
"""The names of servers: by ``host:port`` as the URL has it, or a function of that text, which returns one of few."""


class ClientOptions(TypedDict, total=False):
    """The keyword arguments of `instrument` that all clients have."""

    registry: CollectorRegistry
    """The registry of the metrics. Clients share the metrics of a registry."""

    namespace: str
    """A prefix of the names of all metrics: ``shop`` makes ``shop_http_client_request_duration_seconds``."""

    conventions: Conventions
    """``"opentelemetry"`` names the labels as OpenTelemetry does."""

    native: bool | int
    """Make native histograms of the durations and sizes of calls, of the default resolution (True) or of a schema.

    Their classic buckets stay beside them. Clients of one registry need the same value.
    """

    exemplars: ExemplarSource | None
    """Where the exemplars of the histograms and counters come from.

    ``"trace"``: the trace of OpenTelemetry, if it is sampled. ``"traceparent"``: the same, or else the trace that the
    header of the request that the application serves names. Or a function that returns the labels of an exemplar.
    Clients of one registry need the same value; one without it follows the first.
    """


class HttpClientOptions(ClientOptions, total=False):
    """The keyword arguments of `instrument` for a client of HTTP."""

    server: ServerNames | None
    """The label ``server``, which is the host and port of the URL otherwise: a mapping or a function of that text."""

    name: str
    """The name of its pool of connections, ``httpx-1`` and so on otherwise."""

    body_sizes: bool
    """Measure the sizes of request and response bodies in bytes."""

    first_byte: bool
    """Measure the time to the first byte of a response."""


class DatabaseOptions(ClientOptions, total=False):
    """The keyword arguments of `instrument` for a database, or a pool of connections to one."""

    name: str
    """The name of the pool, such as ``SQLAlchemy-1`` otherwise."""


CLIENT_DEFAULTS: ClientOptions = {
    "registry": REGISTRY,
    "namespace": "",
    "conventions": "prometheus",
    "native": False,
    "exemplars": None,
}
HTTP_CLIENT_DEFAULTS: HttpClientOptions = {
    **CLIENT_DEFAULTS,
    "server": None,
    "name": "",
    "body_sizes": False,
    "first_byte": False,
}
DATABASE_DEFAULTS: DatabaseOptions = {**CLIENT_DEFAULTS, "name": ""}

# OpenTelemetry's semantic conventions for HTTP and for databases. Prometheus has underscores where they have dots.
_OPENTELEMETRY = {
    "method": "http_request_method",
    "server": "server_address",
    "status": "http_response_status_code",
    "type": "error_type",
    "system": "db_system_name",
    "operation": "db_operation_name",
    "pool": "db_client_connection_pool_name",
    "state": "db_client_connection_state",
    "http_state": "http_connection_state",
}
# Labels that have two names in OpenTelemetry's conventions, and one without them.
_NAMES = {"http_state": "state"}


def name_label(options: Mapping[str, Any], name: str) -> str:
    """Return the name of a label by the conventions in ``options``."""
    names = _OPENTELEMETRY if options["conventions"] == "opentelemetry" else _NAMES
    return names.get(name, name)


def check_client_options(options: Mapping[str, Any]) -> None:
    """Raise `DefinitionError` for a value whose type is wrong; the rest is checked where it is used."""
    check_full_registry(options["registry"])
    check_choice("conventions", options["conventions"], get_args(Conventions))
    check_namespace(options["namespace"])
    find_provider(options["exemplars"])
    Histogram("native", "Checks native.", native=options["native"], registry=None)
    check_text("name", options.get("name", ""))
    for name in ("body_sizes", "first_byte"):
        check_flag(name, options.get(name, False))
    server = options.get("server")
    if not (server is None or callable(server) or isinstance(server, Mapping)):
        raise make_refusal("server", "a mapping from 'host:port' to names, or a function of that text", server)
