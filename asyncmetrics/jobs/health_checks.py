"""`HealthChecks`: checks of what a service depends on, which run beside its requests and never in them."""

from __future__ import annotations

from types import TracebackType
from typing import final

from asyncmetrics.errors import DefinitionError
from asyncmetrics.jobs.check_runs import CheckMetrics, CheckRun, DeclaredCheck, Result
from asyncmetrics.jobs.client_checks import make_check
from asyncmetrics.jobs.health_app import HealthApp
from asyncmetrics.loops import find_home
from asyncmetrics.model.checks import check_flag, check_seconds, make_refusal
from asyncmetrics.model.names import check_namespace
from asyncmetrics.pacing import preload_asyncio_backend
from asyncmetrics.registry import REGISTRY, CollectorRegistry, check_full_registry
from asyncmetrics.typing import ASGIApp

__all__ = ("HealthChecks",)

_PENDING = Result("pending")


@final
class HealthChecks:
    """Call checks again and again beside the requests, expose their results, and answer ``/ready`` with them.

    - ``show_errors``: whether the answers of ``app`` have the texts of exceptions. They may name hosts and users, so
      they are only logged by default.
    - ``registry``: the registry of the metrics.
    - ``namespace``: a prefix of the names of all metrics.

    It is an asynchronous context manager; `start` and `stop` do the same. Raises `DefinitionError` for a wrong value of
    an argument, and `DuplicateMetricError` if the registry has another metric of one of the names.

        >>> from asyncmetrics import CollectorRegistry
        >>> from asyncmetrics.jobs import HealthChecks, tcp_check
        >>> checks = HealthChecks(registry=CollectorRegistry())
        >>> checks.add("mail", tcp_check("127.0.0.1", 25), interval=30)
        >>> checks.is_ready  # not started
        False
    """

    def __init__(
        self, *, show_errors: bool = False, registry: CollectorRegistry = REGISTRY, namespace: str = ""
    ) -> None:
        check_flag("show_errors", show_errors)
        check_full_registry(registry)
        check_namespace(namespace)
        preload_asyncio_backend()
        self._checks: dict[str, DeclaredCheck] = {}
        self._runs: list[CheckRun] = []
        self._metrics = CheckMetrics(registry, namespace)
        self._app = HealthApp(self, show_errors=show_errors)

    def add(
        self, name: str, check: object, *, interval: float = 10.0, timeout: float = 2.0, required: bool = True
    ) -> None:
        """Add a check, which begins with `start`, or at once if that was called before.

        ``check`` is a function without arguments. It fails if it raises or returns False, or if it has no result after
        ``timeout`` seconds. A coroutine function runs on the event loop. Any other function is called in a thread of
        its own, and may return an awaitable, which is awaited on the loop. The next call begins ``interval`` seconds
        after the last one has begun, but not before that one has ended.

        ``check`` may also be a client or a pool that `asyncmetrics.jobs.client_checks` knows. Then the check asks its
        server for as little as possible.

        A check that is not ``required`` is exposed and answered as the others, but does not make the service unready.

        Raises `DefinitionError` for a name that is used, or a wrong value of an argument.
        """
        if not isinstance(name, str) or not name:
            raise make_refusal("name", "a str that is not empty", name)
        if name in self._checks:
            raise DefinitionError("name", f"expected a new name, got {name!r}, which another check has: choose another")
        check_seconds("interval", interval)
        check_seconds("timeout", timeout)
        check_flag("required", required)
        declared = DeclaredCheck(name, make_check(check), interval, timeout, required)
        self._checks[name] = declared
        for run in list(self._runs):
            run.add(declared)

    async def start(self) -> None:
        """Begin to call the checks on the running loop; nothing happens if they are called there already.

        The first calls begin at once, and their results come later.
        """
        home = find_home()
        if home is None:
            raise RuntimeError("HealthChecks are started on a running event loop of asyncio, uvloop or trio")
        # A loop that ended without `stop`, or a copy in a process that was forked.
        self._runs = [run for run in self._runs if not run.home.find_problem()]
        if any(run.home.is_running_here() for run in self._runs):
            return
        run = CheckRun(home, self._metrics, self._forget)
        self._runs.append(run)
        for declared in list(self._checks.values()):
            run.begin(declared)

    async def stop(self) -> None:
        """Cancel the checks of the running loop, and remove their gauges; nothing happens if there are none."""
        for run in list(self._runs):
            if run.home.is_running_here():
                await run.stop()

    async def __aenter__(self) -> HealthChecks:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def _forget(self, run: CheckRun) -> None:
        """Forget a run that has ended; with the last one, the gauges disappear."""
        if run in self._runs:
            self._runs.remove(run)
        if not self._runs:
            for name in self._checks:
                self._metrics.forget(name)

    def is_started(self) -> bool:
        """Return whether the checks run, on this loop or on another one."""
        return self._find_run() is not None

    @property
    def is_ready(self) -> bool:
        """Whether the checks run, and all required ones have succeeded at their last call."""
        results = self.read()
        return self.is_started() and not any(
            result.reason for name, result in results.items() if self.is_required(name)
        )

    def read(self) -> dict[str, Result]:
        """Return the last result of each check by its name: on the running loop, or on another one otherwise."""
        run = self._find_run()
        return {name: run.results.get(name, _PENDING) if run else _PENDING for name in list(self._checks)}

    def is_required(self, name: str) -> bool:
        """Return whether the service is unready without the success of a check."""
        return self._checks[name].required

    @property
    def app(self) -> ASGIApp:
        """An ASGI application that answers with a 200 if `is_ready` is true, with a 503 otherwise, and the results.

        It answers on every path, so it can be put anywhere::

            app.mount("/ready", checks.app)     # Starlette, FastAPI
            app.mount("/health", checks.app)    # as /health/ready and /health/live
            uvicorn.run(checks.app, port=9001)  # alone; it starts and stops the checks

        A path that ends in ``/live`` is answered with a 200 in any case: the event loop runs. No middleware of
        asyncmetrics measures its requests.
        """
        return self._app

    def _find_run(self) -> CheckRun | None:
        runs = [run for run in self._runs if not run.home.find_problem()]
        return next((run for run in runs if run.home.is_running_here()), runs[0] if runs else None)
