"""Any object with a method ``collect`` can be exposed in every way, as prometheus_client allows."""

from __future__ import annotations

import threading
import time
from functools import partial
from http.server import ThreadingHTTPServer
from urllib.request import urlopen

import anyio
import prometheus_client
import pytest

from asyncmetrics import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    MetricsMiddleware,
    generate_latest,
    make_asgi_app,
    make_wsgi_app,
    push_to_gateway,
    pushadd_to_gateway,
    start_http_server,
    write_to_textfile,
)
from asyncmetrics.bridges.prometheus_client import AsyncmetricsCollector
from asyncmetrics.core import GaugeMetricFamily
from asyncmetrics.errors import DefinitionError
from asyncmetrics.exposition import choose_encoder, serve_metrics
from asyncmetrics.exposition.handler import MetricsHandler
from asyncmetrics.prometheus_client.openmetrics import exposition as openmetrics
from tests.asgi import make_scope
from tests.patience import PATIENCE_SECONDS


def families():
    return [GaugeMetricFamily("one", "One.", 1), GaugeMetricFamily("two", "Two.", 2)]


class Listing:
    def collect(self):
        return families()


class Generating:
    def collect(self):
        yield from families()


class Awaited:
    async def collect(self):
        await anyio.sleep(0)
        return families()


class AsyncGenerating:
    async def collect(self):
        for family in families():
            await anyio.sleep(0)
            yield family


class Unhashable(Listing):
    def __eq__(self, other):
        return True

    __hash__ = None


class Empty(Listing):
    def __len__(self):
        return 0


class Subclass(CollectorRegistry):
    """Hides the metrics that were registered."""

    def collect(self):
        for family in super().collect():
            if family.name in {"one", "two"}:
                yield family


def make_subclass():
    registry = Subclass()
    Gauge("one", "One.", registry=registry).set(1)
    Gauge("two", "Two.", registry=registry).set(2)
    Gauge("secret", "Hidden.", registry=registry).set(3)
    return registry


class Wrapper:
    """Passes everything on to a registry, but hides a family."""

    def __init__(self, registry):
        self._wrapped = registry

    def __getattr__(self, name):
        return getattr(self._wrapped, name)

    def collect(self):
        return (family for family in self._wrapped.collect() if family.name != "secret")


def make_wrapper():
    registry = CollectorRegistry()
    Gauge("one", "One.", registry=registry).set(1)
    Gauge("two", "Two.", registry=registry).set(2)
    Gauge("secret", "Hidden.", registry=registry).set(3)
    return Wrapper(registry)


def make_replaced():
    registry = CollectorRegistry()
    registry.collect = lambda: iter(families())
    return registry


KINDS = [Listing, Generating, Awaited, AsyncGenerating, Unhashable, Empty, make_subclass, make_wrapper, make_replaced]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def some(request):
    return request.param()


def call_wsgi(registry, query=""):
    environ = {"REQUEST_METHOD": "GET", "QUERY_STRING": query}
    return b"".join(make_wsgi_app(registry)(environ, lambda *_: None)).decode()


def serve_in_thread(registry):
    with start_http_server(0, registry=registry) as server:
        return read(server.port)


def read(port, query=""):
    with urlopen(f"http://127.0.0.1:{port}/?{query}", timeout=PATIENCE_SECONDS) as response:
        return response.read().decode()


def serve_on_loop(registry):
    async def serve():
        async with serve_metrics(0, registry=registry) as server:
            return await anyio.to_thread.run_sync(read, server.port)

    return anyio.run(serve)


def handle(registry):
    with ThreadingHTTPServer(("127.0.0.1", 0), MetricsHandler.factory(registry)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            return read(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def push(function, registry):
    sent = []
    function("gateway:9091", "job", registry, handler=lambda **request: lambda: sent.append(request["data"].decode()))
    return sent[0]


def cross(registry):
    theirs = prometheus_client.CollectorRegistry()
    AsyncmetricsCollector(registry, theirs)
    return prometheus_client.generate_latest(theirs).decode()


WAYS = {
    "generate_latest": lambda registry: generate_latest(registry).decode(),
    "choose_encoder": lambda registry: choose_encoder("text/plain")[0](registry).decode(),
    "openmetrics": lambda registry: openmetrics.generate_latest(registry).decode(),
    "wsgi": call_wsgi,
    "start_http_server": serve_in_thread,
    "serve_metrics": serve_on_loop,
    "handler": handle,
    "push": partial(push, push_to_gateway),
    "pushadd": partial(push, pushadd_to_gateway),
    "bridge": cross,
}


@pytest.mark.parametrize("expose", WAYS.values(), ids=WAYS)
def test_every_exposition_takes_any_registry(some, expose):
    text = expose(some)
    assert "one 1.0\n" in text and "two 2.0\n" in text and "secret" not in text


def test_the_asgi_application_takes_any_registry(some, ask, backend):
    text = ask(make_asgi_app(some), backend=backend).text
    assert "one 1.0\n" in text and "two 2.0\n" in text and "secret" not in text


def test_a_textfile_takes_any_registry(some, tmp_path):
    write_to_textfile(tmp_path / "metrics.prom", some)
    text = (tmp_path / "metrics.prom").read_text()
    assert "one 1.0\n" in text and "two 2.0\n" in text and "secret" not in text


@pytest.mark.parametrize("query", ["name[]=one", "name[]=one&name[]=secret"])
def test_any_registry_can_be_restricted_by_names(some, ask, backend, query):
    expected = "# HELP one One.\n# TYPE one gauge\none 1.0\n"
    assert ask(make_asgi_app(some), backend=backend, query=query.encode()).text == expected
    assert call_wsgi(some, query) == expected


def test_a_restricted_registry_of_its_own_is_asked(ask):
    class Restricting(Listing):
        def restricted_registry(self, names):
            asked.append(names)
            return Listing()

    asked = []
    assert "two" not in ask(make_asgi_app(Restricting()), query=b"name[]=one").text
    assert [sorted(names) for names in asked] == [["one"]]


def test_a_subclass_that_overrides_nothing_is_collected_live(registry):
    """Its gauge functions are asked one by one, as those of any registry of this library."""

    class Named(CollectorRegistry):
        pass

    registry = Named()
    gauge = Gauge("level", "L.", ["n"], registry=registry)
    gauge.labels("bad").set_function(lambda: 1 / 0)
    gauge.labels("good").set(1)
    assert b'level{n="good"} 1.0\n' in generate_latest(registry)
    assert registry.get_sample_value("asyncmetrics_collector_errors_total", {"collector": "level"}) is not None


def test_a_metric_that_overrides_collect_is_honoured_by_a_scrape(registry, ask, backend):
    class Doubling(Counter):
        def collect(self):
            threads.append(threading.current_thread())
            for family in super().collect():
                family.samples = [sample._replace(value=2 * sample.value) for sample in family.samples]
                yield family

    threads = []
    Doubling("jobs", "Jobs.", registry=registry).inc(2)
    assert "jobs_total 4.0\n" in ask(make_asgi_app(registry), backend=backend).text
    assert threading.current_thread() not in threads  # it may block


def test_a_sync_registry_is_collected_in_a_thread(ask, backend):
    class Blocking(Listing):
        def collect(self):
            threads.append(threading.current_thread())
            time.sleep(0.001)
            return families()

    threads = []
    assert "one 1.0\n" in ask(make_asgi_app(Blocking()), backend=backend).text
    assert threads and threading.current_thread() not in threads


def count_errors(collector):
    return REGISTRY.get_sample_value("asyncmetrics_collector_errors_total", {"collector": collector}) or 0


def test_a_registry_that_fails_is_counted_in_the_default_registry_and_logged_once(ask, backend, caplog, request):
    class Failing:
        def collect(self):
            raise LookupError("secret")

    Failing.__name__ = f"Failing{backend}"
    app = make_asgi_app(Failing())
    answers = [ask(app, backend=backend) for _ in range(2)]
    assert [(answer.status, answer.text) for answer in answers] == [(200, "")] * 2
    assert count_errors(Failing.__name__) == 2
    assert [record.exc_info[1].args for record in caplog.records] == [("secret",)]


def test_a_registry_that_fails_gives_500_on_request(ask, backend, caplog):
    class FailingOnRequest:
        async def collect(self):
            raise LookupError("secret")

    answer = ask(make_asgi_app(FailingOnRequest(), on_error="fail"), backend=backend)
    assert (answer.status, "FailingOnRequest" in answer.text, "secret" in answer.text) == (500, True, False)


@pytest.mark.parametrize("expose", [generate_latest, WAYS["openmetrics"], WAYS["choose_encoder"], WAYS["push"]])
def test_the_exception_of_a_registry_reaches_the_program_that_exposes_it(expose):
    class Raising:
        def collect(self):
            yield GaugeMetricFamily("one", "One.", 1)
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        expose(Raising())


def test_a_textfile_is_kept_if_the_registry_raises(tmp_path):
    class Raising:
        def collect(self):
            raise LookupError("mine")

    path = tmp_path / "metrics.prom"
    path.write_text("before")
    with pytest.raises(LookupError, match="mine"):
        write_to_textfile(path, Raising())
    assert (path.read_text(), len(list(tmp_path.iterdir()))) == ("before", 1)


@pytest.mark.parametrize("expose", WAYS.values(), ids=WAYS)
def test_families_of_prometheus_client_are_left_out_with_a_hint(expose, caplog, request):
    class Foreign:
        def collect(self):
            yield prometheus_client.Metric("theirs", "T.", "gauge")
            yield GaugeMetricFamily("ours", "O.", 1)

    Foreign.__name__ = f"Foreign_{request.node.callspec.id}"
    text = expose(Foreign())
    assert "ours 1.0\n" in text and "theirs" not in text
    assert count_errors(Foreign.__name__) == 1
    assert "PrometheusClientCollector" in str(caplog.records[0].exc_info[1])


def test_scrapes_at_the_same_time_collect_once():
    class Slow:
        def __init__(self):
            self.calls = 0

        async def collect(self):
            self.calls += 1
            await go.wait()
            return families()

    go = anyio.Event()
    slow = Slow()
    app = make_asgi_app(slow)

    async def scrape(texts):
        sent = []

        async def send(message):
            sent.append(message.get("body", b""))

        await app(make_scope(), anyio.sleep_forever, send)
        texts.append(b"".join(sent))

    async def run():
        texts = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scrape, texts)
            tasks.start_soon(scrape, texts)
            await anyio.wait_all_tasks_blocked()
            go.set()
        return texts

    texts = anyio.run(run)
    assert (slow.calls, [b"one 1.0\n" in text for text in texts]) == (1, [True, True])


NO_REGISTRIES = {
    "None": None,
    "a text": "x",
    "a number": 5,
    "an object": object(),
    "a class": Listing,
    "a class of ours": CollectorRegistry,
    "theirs": prometheus_client.REGISTRY,
}


@pytest.mark.parametrize(
    ("way", "wrong"),
    # None is the default registry for pushadd_to_gateway.
    [(way, wrong) for way in WAYS for wrong in NO_REGISTRIES if (way, wrong) != ("pushadd", "None")],
)
def test_what_has_no_collect_or_is_of_prometheus_client_is_refused(way, wrong):
    with pytest.raises(DefinitionError, match="^registry: expected a CollectorRegistry of asyncmetrics, got "):
        WAYS[way](NO_REGISTRIES[wrong])


def test_a_class_derived_from_a_registry_of_prometheus_client_is_refused_with_a_hint():
    class Derived(prometheus_client.CollectorRegistry):
        pass

    with pytest.raises(DefinitionError, match="PrometheusClientCollector"):
        generate_latest(Derived())


@pytest.mark.parametrize("use", [partial(Counter, "jobs", "Jobs."), partial(MetricsMiddleware, lambda *_: None)])
def test_metrics_need_a_registry_that_they_can_register_in(use):
    with pytest.raises(DefinitionError, match="^registry: expected a CollectorRegistry of asyncmetrics, got "):
        use(registry=Listing())
