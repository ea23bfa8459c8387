"""Fixtures for every test: fresh registries, apps under a real uvicorn, binaries, and an eye on blocking calls."""

from __future__ import annotations

import gc
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import cache, partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType
from typing import Any

import anyio
import pytest
from blockbuster import BlockBuster
from coverage import Coverage

import asyncmetrics
from asyncmetrics.collectors import process
from tests.patience import PATIENCE_SECONDS, be_patient_with_examples, be_patient_with_servers
from tests.servers import uvicorn_server
from tests.servers.requirements import find_program

# A shell starts what runs in the background with SIGINT ignored, and the programs of the tests would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The one authority that clients trust by themselves: those of the machine take 25 ms to read, for each client.
os.environ["SSL_CERT_FILE"] = str(Path(__file__).with_name("authority.pem"))

be_patient_with_servers()
be_patient_with_examples()

# Reading /proc waits for no device: the one kind of file that may be read on a loop.
PROC_READERS = {name for name, value in vars(process).items() if isinstance(value, FunctionType)} | {
    name for name, value in vars(process.ProcessCollector).items() if isinstance(value, FunctionType)
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put into the report what each test with an ``edge`` mark claims: tests/edges.py makes a table of it.

    Tests with real servers come first: they wait, and other processes of pytest-xdist work meanwhile.
    """
    items.sort(key=lambda item: item.get_closest_marker("real") is None)
    for item in items:
        mark = item.get_closest_marker("edge")
        if mark is not None and isinstance(item, pytest.Function):
            params = item.callspec.params if hasattr(item, "callspec") else {}
            framework = item.get_closest_marker("framework") or pytest.mark.framework("any ASGI").mark
            name = str(params.get("framework", framework.args[0]))
            sentence = item.originalname.removeprefix("test_").replace("_", " ")
            case = params.get("case")
            item.user_properties += [
                ("topic", mark.args[0]),
                ("edge", f"{sentence}: {case}" if case else sentence),
                ("framework", _add_version(name)),
            ]


@cache
def _add_version(name: str) -> str:
    return f"{name} {version(name)}" if find_spec(name) else name


def pytest_collection_finish() -> None:
    """Keep the garbage collector from what lives until the end: 13,000 items and the frameworks, 0.1 s a collection."""
    gc.collect()
    gc.freeze()


_TALLY: Counter[str] = Counter()


@pytest.fixture(scope="session")
def tally() -> Counter[str]:
    """Counts what was judged; the end of the run prints it."""
    return _TALLY


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send the counts to the process that started this one, if pytest-xdist did."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["tally"] = dict(_TALLY)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add what a process of pytest-xdist has counted."""
    _TALLY.update(getattr(node, "workeroutput", {}).get("tally", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was judged, if anything was."""
    if _TALLY:
        terminalreporter.section("conformance")
        for what, count in sorted(_TALLY.items()):
            terminalreporter.line(f"{count:7,d}  {what}")


@pytest.fixture
def asserted(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say in the table of edges what a test asserts, where its name does not: ``asserted("/x/1 is /x/{n}")``."""
    return lambda text: request.node.user_properties.append(("asserted", text))


@pytest.fixture
def registry() -> asyncmetrics.CollectorRegistry:
    """A registry of the test's own, with nothing in it."""
    return asyncmetrics.CollectorRegistry()


class _Watch:
    """Fails what makes a blocking call from the package on an event loop, while ``is_on``.

    There is one for all tests, which each switch it on: to begin and to end takes 1 ms, and most tests take less.
    """

    def __init__(self) -> None:
        self.is_on = False
        self._blockbuster = BlockBuster("asyncmetrics")
        for function in self._blockbuster.functions.values():
            function.can_block_in("asyncmetrics/collectors/process.py", PROC_READERS)
            # At the first fork of a process, which holds the loop for longer than the small files that are read then.
            function.can_block_in("asyncmetrics/storage/decision.py", {"prepare_fork", "note_fork"})
            function.can_block_predicate = partial(self._may_block, function.can_block_predicate)

    def _may_block(self, is_excepted: Callable[..., bool], *arguments: Any, **options: Any) -> bool:
        return not self.is_on or is_excepted(*arguments, **options)

    def begin(self) -> None:
        self._blockbuster.activate()
        if Coverage.current() is not None:
            # The tracer takes a lock of its own inside whatever it traces. Runs without it watch the package's locks.
            for name in ("threading.Lock.acquire", "threading.Lock.acquire_lock"):
                self._blockbuster.functions[name].deactivate()

    def end(self) -> None:
        self._blockbuster.deactivate()


@pytest.fixture(scope="session")
def _watch() -> Iterator[_Watch]:
    watch = _Watch()
    watch.begin()
    yield watch
    watch.end()


@pytest.fixture(autouse=True)
def _blocking_calls_are_errors(request: pytest.FixtureRequest, _watch: _Watch) -> Iterator[None]:
    """Fail when the package makes a blocking call on an event loop; ``@pytest.mark.blocking`` lifts it."""
    _watch.is_on = not request.node.get_closest_marker("blocking")
    yield
    _watch.is_on = False


@pytest.fixture(scope="session")
def serving() -> Callable[..., AbstractContextManager[str]]:
    """The same for fixtures of a wider scope: ``with serving(app) as base: …``."""
    return uvicorn_server.serving


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Serve apps with a real uvicorn for the time of the test: ``base = serve(app)``."""
    with ExitStack() as stack:
        yield lambda app, **options: stack.enter_context(uvicorn_server.serving(app, **options))


@pytest.fixture(scope="session")
def serving_alone() -> Callable[[str], AbstractContextManager[str]]:
    """Run a program in a process of its own, with a default registry that no other test has touched.

    It is given ``serve(app)`` and calls it: ``with serving_alone("from shop import app; serve(app)") as base: …``.
    """
    return uvicorn_server.serving_alone


@pytest.fixture(scope="session")
def binary() -> Callable[[str], str]:
    """Find a program; a missing one skips the test, or fails it where ASYNCMETRICS_REQUIRE_SERVERS is 1."""
    return find_program


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    """The name of either event loop in turn."""
    return request.param


@pytest.fixture
def run(backend: str) -> Callable[..., Any]:
    """Run a coroutine function on either event loop: ``result = run(main)``."""

    def run(main: Callable[[], Awaitable[Any]]) -> Any:
        async def limited() -> Any:
            with anyio.fail_after(PATIENCE_SECONDS):
                return await main()

        return anyio.run(limited, backend=backend)

    return run
