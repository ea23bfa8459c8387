"""The modules of prometheus_client that belong to other packages: aiohttp, Django, Twisted, Graphite."""

from __future__ import annotations

import socketserver
import subprocess
import sys
import threading

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from asyncmetrics.prometheus_client import CollectorRegistry, Counter, Gauge
from asyncmetrics.prometheus_client.aiohttp import make_aiohttp_handler
from asyncmetrics.prometheus_client.bridge.graphite import GraphiteBridge
from asyncmetrics.prometheus_client.core import Metric, NativeHistogram


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry with a counter and a gauge."""
    registry = CollectorRegistry()
    Counter("jobs", "Jobs.", ["kind"], registry=registry).labels("e mail").inc()
    Gauge("size", "Size.", registry=registry).set(2.5)
    registry.register(_Natives())
    return registry


class _Natives:
    """A collector of a native histogram, which no text and no line has."""

    def collect(self) -> list[Metric]:
        family = Metric("waits", "Waits.", "histogram")
        family.add_sample("waits", {}, 1.0, native_histogram=NativeHistogram(1.0, 2.0, 0, 0.5, 1.0))
        return [family]


async def test_aiohttp_handler(registry: CollectorRegistry) -> None:
    """A handler of aiohttp serves the registry, compressed where the client accepts that."""
    app = web.Application()
    app.router.add_get("/metrics", make_aiohttp_handler(registry))
    async with TestClient(TestServer(app)) as client:
        response = await client.get("/metrics", params={"name[]": "size"})
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert response.headers["Content-Encoding"] in {"deflate", "gzip"}
        assert "size 2.5" in await response.text()


def test_django_view() -> None:
    """The view of Django, in a process whose settings are its own."""
    program = """
import django
from django.conf import settings
settings.configure(ROOT_URLCONF="", ALLOWED_HOSTS=["*"])
django.setup()
from django.test import RequestFactory
from asyncmetrics.prometheus_client import Gauge
from asyncmetrics.prometheus_client.django import PrometheusDjangoView
Gauge("size", "Size.").set(2)
view = PrometheusDjangoView.as_view()
response = view(RequestFactory().get("/metrics?name[]=size", headers={"Accept": "text/plain"}))
print(response.status_code, response["Content-Type"], response.content.decode().splitlines()[-1])
print(view(RequestFactory().options("/metrics"))["Allow"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "200 text/plain; version=0.0.4; charset=utf-8 size 2.0\nOPTIONS,GET\n"


def test_twisted_resource() -> None:
    """The resource of Twisted, served by its reactor in a process of its own."""
    program = """
import threading, urllib.request
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site
from asyncmetrics.prometheus_client import Gauge
from asyncmetrics.prometheus_client.twisted import MetricsResource
Gauge("size", "Size.").set(2)
root = Resource()
root.putChild(b"metrics", MetricsResource())
port = reactor.listenTCP(0, Site(root), interface="127.0.0.1")
def scrape():
    text = urllib.request.urlopen(f"http://127.0.0.1:{port.getHost().port}/metrics").read()
    print(b"size 2.0" in text)
    reactor.callFromThread(reactor.stop)
reactor.callInThread(scrape)
reactor.run()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


class _Graphite(socketserver.StreamRequestHandler):
    received: list[str]
    arrived: threading.Event

    def handle(self) -> None:
        """Keep what is sent."""
        self.received.append(self.rfile.read().decode())
        self.arrived.set()


@pytest.mark.parametrize(
    ("tags", "line"),
    [(False, "shop.jobs_total.kind.e_mail 1.0 1000\n"), (True, "shop.jobs_total;kind=e_mail 1.0 1000\n")],
)
def test_graphite_bridge(registry: CollectorRegistry, tags: bool, line: str) -> None:
    """Samples arrive as lines of Graphite's plaintext protocol."""
    handler = type("Handler", (_Graphite,), {"received": [], "arrived": threading.Event()})
    with socketserver.TCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.handle_request, daemon=True)
        thread.start()
        host, port = server.server_address[:2]
        GraphiteBridge((str(host), port), registry, _timer=lambda: 1000.5, tags=tags).push("shop")
        handler.arrived.wait()
        thread.join()
    assert line in handler.received[0]
    assert "shop.size 2.5 1000\n" in handler.received[0]
    assert "shop.waits" not in handler.received[0]
