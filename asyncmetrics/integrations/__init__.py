"""One verb for everything: `instrument` measures an application, a client, a pool, a logger, a queue and so on.

`libraries` has the tables of what can be instrumented, and says how to add a library. An application is measured by
the middleware, which `outermost` puts around it; the options are in `options`. Everything else is a client: `library`
is the base of its integration, `client_options` has its options. `everything` has `instrument_all`.

An integration imports the framework or library that it measures. A program loads those of its own libraries only.
"""

from __future__ import annotations

import importlib
from inspect import isclass, ismodule
from typing import Any, Protocol, TypeVar, overload

from asyncmetrics.integrations.client_options import ClientOptions, DatabaseOptions, HttpClientOptions, ServerNames
from asyncmetrics.integrations.everything import Instrumentation, instrument_all
from asyncmetrics.integrations.libraries import ADVICE, CLIENTS, FRAMEWORKS, LIBRARIES, find_by_class
from asyncmetrics.integrations.options import INSTRUMENT_DEFAULTS, InstrumentOptions
from asyncmetrics.middleware.applications import make_application_error
from asyncmetrics.middleware.options import show_options
from asyncmetrics.runtime import ObjectOptions
from asyncmetrics.typing import Unpack

__all__ = (
    "ClientOptions",
    "DatabaseOptions",
    "HttpClientOptions",
    "InstrumentOptions",
    "Instrumentation",
    "ObjectOptions",
    "ServerNames",
    "instrument",
    "instrument_all",
    "uninstrument",
)

X = TypeVar("X")


class _Application(Protocol):
    """An application of a framework."""

    @property
    def __call__(self) -> Any: ...


# The public shapes of clients: the types of a library that is not installed would say nothing to a type checker.
class _HttpxClient(Protocol):
    def build_request(self, method: Any, url: Any) -> Any: ...
    @property
    def event_hooks(self) -> Any: ...


class _HttpxTransport(Protocol):
    def handle_request(self, request: Any) -> Any: ...


class _AsyncHttpxTransport(Protocol):
    def handle_async_request(self, request: Any) -> Any: ...


class _RequestsSession(Protocol):
    def mount(self, prefix: Any, adapter: Any) -> Any: ...
    @property
    def adapters(self) -> Any: ...


class _Urllib3Pool(Protocol):
    def urlopen(self, method: Any, url: Any) -> Any: ...


class _Engine(Protocol):
    @property
    def dialect(self) -> Any: ...
    def dispose(self) -> Any: ...


class _AsyncpgPool(Protocol):
    def get_idle_size(self) -> int: ...


class _PsycopgPool(Protocol):
    def get_stats(self) -> Any: ...


class _Connection(Protocol):
    """A connection of asyncpg, psycopg or aiosqlite."""

    def execute(self, query: Any, /) -> Any: ...


class _Redis(Protocol):
    def execute_command(self, *args: Any) -> Any: ...


class _Logger(Protocol):
    def setLevel(self, level: Any) -> Any: ...  # noqa: N802


class _Executor(Protocol):
    def submit(self, fn: Any, /) -> Any: ...
    def shutdown(self) -> Any: ...


class _Limiter(Protocol):
    def acquire_on_behalf_of(self, borrower: Any) -> Any: ...


class _Queue(Protocol):
    def put_nowait(self, item: Any) -> Any: ...
    def get_nowait(self) -> Any: ...


class _Semaphore(Protocol):
    _value: int  # a lock has none

    def acquire(self) -> Any: ...
    def release(self) -> Any: ...
    def locked(self) -> Any: ...


class _SendStream(Protocol):
    def send_nowait(self, item: Any, /) -> Any: ...
    def clone(self) -> Any: ...


class _ReceiveStream(Protocol):
    def receive_nowait(self) -> Any: ...
    def clone(self) -> Any: ...


A = TypeVar("A", bound=_Application)
H = TypeVar("H", bound="_HttpxClient | _HttpxTransport | _AsyncHttpxTransport | _RequestsSession | _Urllib3Pool")
D = TypeVar("D", bound="_Engine | _AsyncpgPool | _PsycopgPool | _Connection | _Redis")
L = TypeVar("L", bound=_Logger)
J = TypeVar("J", bound="_Executor | _Limiter | _Queue | _Semaphore | _SendStream | _ReceiveStream")

_EXPECTED = (
    "an application of FastAPI, Starlette, Litestar or Quart, or Django's ASGI application (MetricsMiddleware(app) "
    "measures any other ASGI application); a client of httpx, requests, urllib3 or redis; an engine of SQLAlchemy; a "
    "pool or a connection of asyncpg or psycopg; a connection of aiosqlite; a logger of logging; an executor of "
    "concurrent.futures; a queue or a semaphore of asyncio, or a queue.Queue; or a limiter or a memory stream of anyio "
    "or trio"
)


@overload
def instrument(client: H, /, **options: Unpack[HttpClientOptions]) -> H: ...
@overload
def instrument(database: D, /, **options: Unpack[DatabaseOptions]) -> D: ...
@overload
def instrument(logger: L, /, **options: Unpack[ClientOptions]) -> L: ...
@overload
def instrument(target: J, /, **options: Unpack[ObjectOptions]) -> J: ...
@overload
def instrument(app: A, **options: Unpack[InstrumentOptions]) -> A: ...
@show_options(InstrumentOptions, INSTRUMENT_DEFAULTS)
def instrument(app: Any, **options: Any) -> Any:
    """Measure ``app`` and return it: an application, a client, a pool, a logger, an executor, a queue and so on.

    An application is measured from the outside, and its metrics are served at ``path``:

    - ``path``: where the metrics are served, before any route of the application, with and without a slash at the end.
      Scrapes are not measured, and the path is in no OpenAPI schema. None serves them nowhere.
    - ``auth``: which clients may read them: a bearer token, a ``(user, password)``, or a predicate of the ASGI scope.
    - ``max_concurrent``: the limit of scrapes at the same time, as for `make_asgi_app`.
    - ``live``: serve the live page as well, at the path with ``/live`` after it.
    - ``runtime``: measure the event loops that serve the application too, by a `RuntimeMonitor` with its defaults or by
      the one that is passed, from the start of a lifespan or the first request to the end of the lifespan.
    - ``push``: send the metrics to a sink of `asyncmetrics.bridges` for as long, by a `Pusher` with its defaults or by
      the one that is passed. None sends them nowhere.

    The other options of an application are those of `MetricsMiddleware`. Clients have the options of
    `HttpClientOptions`, `DatabaseOptions` or `ClientOptions`; executors, limiters, queues, semaphores and memory
    streams those of `ObjectOptions`. If the object is instrumented already, the options of the
    first call stay, and a warning is logged for those of this one.

    Raises `DefinitionError` for anything else, with the advice that fits it (a `MetricsMiddleware` wraps any other ASGI
    application), or for a wrong value of an option, and `TypeError` for an unknown option.
    """
    return _load("instrument", app).instrument(app, **options)


def uninstrument(app: X) -> X:
    """Undo `instrument`: measure ``app`` no more, serve its metrics no more, and return it.

    The object is as it was before, also if other libraries have changed it since. The metrics stay in their registry,
    with their values. It may be instrumented again, with other options. What is not instrumented stays as it is.

    Raises `DefinitionError` for an object that `instrument` does not know.
    """
    uninstrumented: X = _load("uninstrument", app).uninstrument(app)
    return uninstrumented


def _load(function: str, target: object) -> Any:
    """Return what has the functions ``instrument`` and ``uninstrument`` for ``target``."""
    framework = find_by_class(FRAMEWORKS, target)
    if framework is not None:
        return importlib.import_module(framework)
    client = find_by_class(CLIENTS, target)
    if client is not None:
        return importlib.import_module(client).INTEGRATION
    raise make_application_error(f"{function}(app)", _EXPECTED, target, _advise(target))


def _advise(target: object) -> str:
    """Return what to do instead for an object or a module of a library that is measured; else an empty text."""
    if isclass(target):
        names = {f"{target.__module__}.{target.__qualname__}"}
        return f"create an object first: {target.__name__}(…)" if not names.isdisjoint(CLIENTS) else ""
    if ismodule(target):
        name = next((name for name, library in LIBRARIES.items() if library.module == target.__name__), None)
        return f"measure all of it by instrument_all(only=[{name!r}])" if name else ""
    return find_by_class(ADVICE, target) or ""
