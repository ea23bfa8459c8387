"""The options of `MetricsMiddleware`: their names, types, meanings and defaults, each written once.

An option travels as a part of one mapping. To add one, add it to `MiddlewareOptions` and to `MIDDLEWARE_DEFAULTS`, and
read it where it is used; `MetricsMiddleware` and every `instrument` accept it then, and show it in their signatures.

*Theory of operation.* An integration does the same with its own options.

1. It declares a ``TypedDict`` and a mapping of defaults, each on top of the one here.
2. `show_options` replaces ``**options`` in the signature of a function by the declared options.
3. `complete_options` rejects unknown options and adds the defaults. From here on every option is present.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter, signature
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar, cast, get_args

from asyncmetrics.context.exemplars import ExemplarSource, find_provider
from asyncmetrics.errors import suggest
from asyncmetrics.metrics import Histogram
from asyncmetrics.model.checks import check_choice, check_flag, check_mapping, check_seconds
from asyncmetrics.model.names import check_namespace
from asyncmetrics.registry import REGISTRY, CollectorRegistry, check_full_registry
from asyncmetrics.typing import Scope

__all__ = (
    "MIDDLEWARE_DEFAULTS",
    "Buckets",
    "Conventions",
    "Exclusion",
    "ExtraLabel",
    "MiddlewareOptions",
    "RouteCallable",
    "check_values",
    "complete_options",
    "show_options",
)

Exclusion: TypeAlias = str | re.Pattern[str] | Callable[[Scope], bool]
"""A path, a pattern that matches a whole path, or a predicate of the scope."""

RouteCallable: TypeAlias = Callable[[Scope], "str | None"]
"""Return the route of a scope, or None to leave it to the framework."""

Bounds: TypeAlias = Iterable[float | str]
Buckets: TypeAlias = Bounds | Mapping[str, Bounds]
"""The upper bounds of a histogram's buckets, or a mapping from names of histograms to such bounds."""

ExtraLabel: TypeAlias = "str | Callable[[Scope], object]"
"""The value of a label, or a function of the scope that returns it."""

Conventions: TypeAlias = Literal["prometheus", "opentelemetry"]
"""The specification that names the labels."""

F = TypeVar("F", bound=Callable[..., object])
O = TypeVar("O", bound=Mapping[str, object])  # noqa: E741  # the options of one function


class MiddlewareOptions(TypedDict, total=False):
    """The keyword arguments of `MetricsMiddleware`."""

    registry: CollectorRegistry
    """The registry of the metrics. Several applications in one process share the metrics of a registry."""

    exclude: Iterable[Exclusion]
    """The requests and websockets that are not measured.

    Each item is a path (a slash at its end makes no difference), a pattern that matches a whole path, or a predicate
    of the scope. A path begins after the root path of a proxy or a mount, as it does for a router.
    """

    route: RouteCallable | None
    """A function that returns the label ``route`` for a scope. It must return one of few values.

    If it returns None, the route is ``scope["asyncmetrics.route"]``, or else the framework's.
    """

    buckets: Buckets
    """The buckets of HTTP's histograms of seconds, or a mapping from the names of any histograms to their buckets."""

    native: bool | int
    """Make all histograms native ones, of the default resolution (True) or of a schema, beside the classic buckets.

    ``buckets=()`` makes them native only.
    """

    first_byte: bool
    """Measure the time to the first byte of a response's body. A response without a body has none."""

    body_sizes: bool
    """Measure the sizes of request and response bodies in bytes."""

    background: bool
    """Measure how long the application runs after the end of a response."""

    on_loop: bool
    """Measure how long the event loop runs the code of a request, without all that it waits for."""

    extra_labels: Mapping[str, ExtraLabel] | None
    """Labels that are added to every metric, by name. A function must return one of few values.

    A function is called with the scope when a request ends. The metrics of active requests call it at every scrape.
    """

    context_labels: Iterable[str]
    """Names of context labels that are read when a request ends, for all metrics but those of active requests."""

    client_totals: bool
    """Measure how many calls of clients each request makes, and how long they take together, by kind of client."""

    namespace: str
    """A prefix of the names of all metrics: ``shop`` makes ``shop_http_server_request_duration_seconds``.

    ``buckets`` has the names without the prefix.
    """

    stream_after: float | None
    """How many seconds after its start a response that is not complete becomes a stream.

    Streams have a histogram of their own. A response that says ``text/event-stream`` is one from its start. None makes
    no response a stream.
    """

    worker_label: bool
    """Expose durations, exceptions and active requests of each worker apart, with the label ``worker``."""

    exemplars: ExemplarSource | None
    """Where the exemplars of the histograms and counters come from.

    ``"trace"``: the trace of OpenTelemetry, if it is sampled. ``"traceparent"``: the same, or else the trace that the
    request's header names, which the client has chosen. Or a function that returns the labels of an exemplar, or None.
    """

    conventions: Conventions
    """``"opentelemetry"`` names the labels as OpenTelemetry does, and adds the label ``url_scheme``."""


MIDDLEWARE_DEFAULTS: MiddlewareOptions = {
    "registry": REGISTRY,
    "exclude": (),
    "route": None,
    "buckets": Histogram.DEFAULT_BUCKETS,
    "native": False,
    "first_byte": False,
    "body_sizes": False,
    "background": False,
    "on_loop": False,
    "extra_labels": None,
    "context_labels": (),
    "client_totals": False,
    "namespace": "",
    "stream_after": 10.0,
    "worker_label": False,
    "exemplars": None,
    "conventions": "prometheus",
}


def complete_options(function: str, options: O, defaults: O) -> O:
    """Return ``options`` with ``defaults`` for those that are missing.

    Raises `TypeError` for an option that is not among ``defaults``; its message names ``function``.
    """
    for name in options:
        if name not in defaults:
            raise TypeError(_describe_unknown(function, name, defaults))
    return cast(O, {**defaults, **options})


def check_values(options: MiddlewareOptions) -> None:
    """Raise `DefinitionError` for a value whose type is wrong; the rest is checked where it is used."""
    check_full_registry(options["registry"])
    check_choice("conventions", options["conventions"], get_args(Conventions))
    find_provider(options["exemplars"])
    for name, is_wanted in (
        ("first_byte", options["first_byte"]),
        ("body_sizes", options["body_sizes"]),
        ("background", options["background"]),
        ("on_loop", options["on_loop"]),
        ("client_totals", options["client_totals"]),
        ("worker_label", options["worker_label"]),
    ):
        check_flag(name, is_wanted)
    if options["stream_after"] is not None:
        check_seconds("stream_after", options["stream_after"], expected="more than 0 seconds, or None")
    check_namespace(options["namespace"])
    if options["extra_labels"] is not None:
        check_mapping("extra_labels", options["extra_labels"], "names of labels to values or functions of the scope")


def _describe_unknown(function: str, name: str, known: Iterable[str]) -> str:
    hint = suggest(name, known) or "."
    return f"{function}() got an unexpected keyword argument {name!r}{hint} Its options are {', '.join(known)}."


def show_options(declared: type, defaults: Mapping[str, object]) -> Callable[[F], F]:
    """Decorate a function to show the options in ``declared`` instead of ``**options`` in its signature.

    `inspect.signature` and `help` read it. They would show ``**options`` alone, without names and defaults.
    """

    def decorate(function: F) -> F:
        own = signature(function)
        named = [one for one in own.parameters.values() if one.kind is not Parameter.VAR_KEYWORD]
        options = [
            Parameter(
                name, Parameter.KEYWORD_ONLY, default=default, annotation=_to_text(declared.__annotations__[name])
            )
            for name, default in defaults.items()
        ]
        target: Any = function
        target.__signature__ = own.replace(parameters=[*named, *options])
        return function

    return decorate


def _to_text(annotation: Any) -> object:
    """Return an annotation as ``inspect`` shows it: a TypedDict wraps each text into a ``ForwardRef``."""
    return getattr(annotation, "__forward_arg__", annotation)
