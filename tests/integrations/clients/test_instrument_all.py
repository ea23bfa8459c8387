"""`instrument_all`: which libraries it measures, when, and what it leaves behind."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap
import threading
from importlib import import_module
from types import ModuleType

import httpx
import pytest
import redis
import sqlalchemy.orm
import urllib3

from asyncmetrics import CollectorRegistry, Gauge, instrument, instrument_all, uninstrument
from asyncmetrics.errors import DefinitionError, DuplicateMetricError
from asyncmetrics.integrations.libraries import LIBRARIES, Library
from asyncmetrics.metrics.pools import get_pools
from tests.patience import PROGRAM_SECONDS
from tests.servers.processes import ROOT

pytestmark = pytest.mark.blocking

INFO = "asyncmetrics_instrumentation_info"
COUNT = "http_client_request_duration_seconds_count"


@pytest.fixture
def states(samples):
    """Read the state of each library that `instrument_all` has found."""
    return lambda: {library: state for library, state in samples(INFO, "library", "state")}


def count(registry: CollectorRegistry) -> float:
    """Return how many calls of HTTP clients were counted."""
    return sum(s.value for family in registry.collect() for s in family.samples if s.name.endswith(COUNT))


def send(server) -> None:
    """Send one request with each of two libraries."""
    httpx.get(f"{server.url}/ok")
    with urllib3.PoolManager() as manager:
        manager.request("GET", f"{server.url}/ok")


def test_only_measures_the_libraries_that_it_names(registry, server, states):
    with instrument_all(only=["httpx"], registry=registry):
        send(server)
        assert states() == {"httpx": "active"}
    assert count(registry) == 1


def test_exclude_leaves_libraries_out(registry, server, states):
    with instrument_all(only=["httpx", "urllib3"], exclude=["httpx"], registry=registry):
        send(server)
        assert states() == {"urllib3": "active"}
    assert count(registry) == 1


def test_the_environment_leaves_libraries_out_and_logs_unknown_names(registry, server, states, monkeypatch, caplog):
    monkeypatch.setenv("ASYNCMETRICS_DISABLED", "httpx, htpx,,")
    with instrument_all(only=["httpx", "urllib3"], registry=registry):
        send(server)
        assert states() == {"urllib3": "active"}
    assert count(registry) == 1
    assert [record.getMessage() for record in caplog.records if "ASYNCMETRICS_DISABLED" in record.getMessage()] == [
        "ASYNCMETRICS_DISABLED names 'htpx', which is no library that asyncmetrics knows"
    ]


@pytest.mark.parametrize("argument", ["only", "exclude"])
def test_a_name_that_is_unknown_is_an_error_with_a_suggestion(registry, argument):
    with pytest.raises(DefinitionError, match=r"htpx.*httpx"):
        instrument_all(registry=registry, **{argument: ["htpx"]})


@pytest.mark.parametrize("wrong", [{"only": "httpx"}, {"conventions": "mine"}, {"server": 1}, {"namespace": 1}])
def test_a_wrong_argument_is_an_error(registry, wrong):
    with pytest.raises(DefinitionError):
        instrument_all(**{"registry": registry, **wrong})


def test_the_info_has_the_version(registry, samples):
    with instrument_all(only=["httpx"], registry=registry):
        assert samples(INFO, "library", "version") == {("httpx", httpx.__version__): 1}
    assert samples(INFO, "library") == {}


def test_a_library_that_is_imported_later_is_measured(server):
    program = f"""
        import sys
        from asyncmetrics import CollectorRegistry, instrument_all
        registry = CollectorRegistry()
        with instrument_all(only=["httpx"], registry=registry):
            assert "httpx" not in sys.modules
            finders = len(sys.meta_path)
            import httpx
            assert len(sys.meta_path) == finders - 1
            httpx.get("{server.url}/ok")
        labels = {{"method": "GET", "server": "{server.netloc}", "status": "200"}}
        assert registry.get_sample_value("{COUNT}", labels) == 1
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_library_that_is_never_imported_leaves_no_finder(registry, monkeypatch):
    monkeypatch.setitem(LIBRARIES, "absent", Library("absent_module", "", (), "absent_integration"))
    before = list(sys.meta_path)
    with instrument_all(only=["absent"], registry=registry):
        assert len(sys.meta_path) == len(before) + 1
    assert sys.meta_path == before


def test_a_version_that_is_too_old_is_left_alone(registry, server, states, monkeypatch, caplog):
    monkeypatch.setitem(LIBRARIES, "httpx", LIBRARIES["httpx"]._replace(oldest=(99,)))
    with instrument_all(only=["httpx"], registry=registry):
        send(server)
        assert states() == {"httpx": "unsupported"}
    assert count(registry) == 0
    assert "expected 99 or later" in caplog.text
    assert states() == {}


class _Failing:
    """An integration that fails."""

    def measure_all(self, options):
        raise RuntimeError("changed internals")


@pytest.mark.parametrize("integration", [_Failing(), None])
def test_an_integration_that_fails_is_exposed_and_logged(registry, states, monkeypatch, caplog, integration):
    module = ModuleType("failing_integration")
    if integration is not None:
        module.INTEGRATION = integration
    monkeypatch.setitem(sys.modules, "failing_library", ModuleType("failing_library"))
    monkeypatch.setitem(sys.modules, "failing_integration", module)
    monkeypatch.setitem(LIBRARIES, "failing", Library("failing_library", "", (), "failing_integration"))
    with caplog.at_level(logging.WARNING), instrument_all(only=["failing"], registry=registry):
        assert states() == {"failing": "failed"}
    assert "cannot be measured" in caplog.text


def test_a_second_call_keeps_the_options_of_the_first(registry, server):
    other = CollectorRegistry()
    with instrument_all(only=["httpx"], registry=registry), instrument_all(only=["httpx", "urllib3"], registry=other):
        send(server)
    assert (count(registry), count(other)) == (1, 1)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_calls_are_undone_in_any_order(registry, server, order):
    before = dict(vars(httpx.HTTPTransport)), vars(urllib3.HTTPConnectionPool)["urlopen"]
    calls = [instrument_all(only=names, registry=registry) for names in (["httpx"], ["httpx", "urllib3"])]
    for number in order:
        calls[number].undo()
    send(server)
    assert count(registry) == 0
    assert (dict(vars(httpx.HTTPTransport)), vars(urllib3.HTTPConnectionPool)["urlopen"]) == before


def test_to_undo_twice_undoes_once(registry, server):
    first = instrument_all(only=["httpx"], registry=registry)
    first.undo()
    with instrument_all(only=["httpx"], registry=registry):
        first.undo()
        send(server)
    assert count(registry) == 1


def test_metrics_keep_their_values_after_the_end(registry, server):
    with instrument_all(only=["httpx"], registry=registry):
        send(server)
    send(server)
    with instrument_all(only=["httpx"], registry=registry):
        send(server)
    assert count(registry) == 2


def test_a_namespace_begins_every_name(registry, server):
    with instrument_all(only=["httpx"], registry=registry, namespace="shop"), httpx.Client() as client:
        client.get(f"{server.url}/ok")
        names = {family.name for family in registry.collect()} - {INFO.removesuffix("_info")}
    assert names
    assert {name for name in names if not name.startswith("shop_http_client_")} == set()


def test_a_second_call_takes_over_when_the_first_is_undone(registry, server, states):
    first = CollectorRegistry()
    measured = instrument_all(only=["httpx"], registry=first)
    with instrument_all(only=["httpx"], registry=registry):
        assert states() == {}
        measured.undo()
        assert states() == {"httpx": "active"}
        send(server)
    assert (count(first), count(registry)) == (0, 1)


def test_options_that_a_second_call_cannot_have_are_logged(registry, caplog):
    with instrument_all(only=["httpx"], registry=registry):
        instrument_all(only=["httpx"], registry=registry).undo()
        assert caplog.messages == []
        instrument_all(only=["httpx"], registry=registry, namespace="shop").undo()
    assert "an earlier call measures httpx" in caplog.text


def test_all_in_the_environment_leaves_every_library_out(registry, states, monkeypatch):
    monkeypatch.setenv("ASYNCMETRICS_DISABLED", "all")
    with instrument_all(registry=registry) as instrumentation:
        assert states() == {}
    assert repr(instrumentation) == "<Instrumentation of nothing>"


@pytest.mark.parametrize(("name", "meant"), [("requests", "urllib3"), ("log", "logging"), ("openai", "httpx")])
def test_the_name_of_what_is_built_on_a_library_leads_to_it(registry, name, meant):
    with pytest.raises(DefinitionError, match=f"write '{meant}'"):
        instrument_all(registry=registry, only=[name])


@pytest.mark.parametrize(
    ("target", "advice"),
    [
        (httpx, r"measure all of it by instrument_all\(only=\['httpx'\]\)"),
        (httpx.AsyncClient, r"create an object first: AsyncClient\(…\)"),
        (sqlalchemy.orm.Session(), "instrument its engine"),
        (redis.ConnectionPool(), "instrument the client that uses it"),
    ],
)
def test_what_is_no_client_by_itself_gets_advice(target, advice):
    with pytest.raises(DefinitionError, match=advice):
        instrument(target)


def test_an_unknown_kind_is_an_error_that_lists_the_kinds():
    with pytest.raises(
        DefinitionError, match="FastAPI.* httpx.* redis.* SQLAlchemy.* asyncpg.* psycopg.* aiosqlite.* log"
    ):
        instrument(object())


def test_undo_while_a_library_begins_leaves_it_as_it_was(registry, monkeypatch, tmp_path, states):
    undone = []

    class Slow:
        def measure_all(self, options):
            other = threading.Thread(target=instrumentation.undo)  # of another thread, while this one is here
            other.start()
            other.join()
            return lambda: undone.append(True)

    module = ModuleType("slow_integration")
    module.INTEGRATION = Slow()
    (tmp_path / "slow_library.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "slow_integration", module)
    monkeypatch.setitem(LIBRARIES, "slow", Library("slow_library", "", (), "slow_integration"))
    instrumentation = instrument_all(only=["slow"], registry=registry)
    import_module("slow_library")
    del sys.modules["slow_library"]
    assert undone == [True]
    assert states() == {}


@pytest.mark.parametrize("name", ["http_client_connection_count", "http_client_active_requests"])
def test_a_name_that_the_registry_has_leaves_the_library_alone(registry, server, states, name, caplog):
    Gauge(name, "Another one.", ["x"], registry=registry)
    with instrument_all(only=["httpx"], registry=registry):
        assert states() == {"httpx": "failed"}
        httpx.get(f"{server.url}/ok")
    with httpx.Client() as client:
        with pytest.raises(DuplicateMetricError, match=name):
            instrument(client, registry=registry)
        uninstrument(client)
        client.get(f"{server.url}/ok")
    assert not hasattr(httpx.HTTPTransport.handle_request, "__wrapped__")
    assert registry.get_sample_value("asyncmetrics_internal_errors_total", {"where": "integrations.httpx"}) is None


def test_pools_are_exposed_again_after_a_program_has_unregistered_a_gauge(registry, server, samples):
    for _ in range(2):
        with instrument_all(only=["httpx"], registry=registry), httpx.Client() as client:
            client.get(f"{server.url}/ok")
            assert samples("http_client_connection_max", "pool") == {("httpx-1",): 100}
            kept = get_pools(registry, "http_client_connection")  # so that it is not collected
        gauge = Gauge(
            "http_client_connection_max", "", ["pool"], multiprocess_mode="livesum", registry=registry, exist_ok=True
        )
        registry.unregister(gauge)
    assert kept


def test_opentelemetrys_conventions_name_the_labels_of_http_pools(registry, server):
    with instrument_all(only=["httpx"], registry=registry, conventions="opentelemetry"), httpx.Client() as client:
        client.get(f"{server.url}/ok")
        labels = {"pool": "httpx-1", "http_connection_state": "idle"}
        assert registry.get_sample_value("http_client_connection_count", labels) == 1


def _list_natives(registry: CollectorRegistry) -> set[str]:
    return {s.name for family in registry.collect() for s in family.samples if s.native_histogram}


def test_durations_are_native_histograms_if_it_is_said_so(registry, server):
    with instrument_all(only=["httpx", "sqlalchemy"], registry=registry, native=3):
        httpx.get(f"{server.url}/ok")
        with sqlalchemy.create_engine("sqlite://").connect() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))
    assert _list_natives(registry) == {"http_client_request_duration_seconds", "db_client_operation_duration_seconds"}


def test_a_client_of_its_own_has_native_sizes_too(registry, server):
    with httpx.Client() as client:
        instrument(client, registry=registry, native=True, body_sizes=True)
        client.get(f"{server.url}/ok")
        uninstrument(client)
    assert {"http_client_request_duration_seconds", "http_client_response_body_size_bytes"} <= _list_natives(registry)


def test_a_schema_that_is_none_is_refused(registry):
    with pytest.raises(DefinitionError, match="native"):
        instrument_all(only=["httpx"], registry=registry, native=9)
