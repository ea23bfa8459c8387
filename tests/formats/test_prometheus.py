"""A real Prometheus scrapes the samples of hostile collectors and clients. One bad line would fail the target."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from asyncmetrics import CollectorRegistry, Counter, Histogram
from asyncmetrics.core import Exemplar, Metric, Sample, Timestamp
from asyncmetrics.formats.negotiation import negotiate
from tests.patience import wait_until
from tests.servers.prometheus_server import make_job, run_prometheus

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.xdist_group("hostile expositions")]

ACCEPTS = {"text": "text/plain;version=0.0.4", "openmetrics": "application/openmetrics-text;version=1.0.0"}
TEXTS = ["\0", "\r", "\n# EOF", '"\\', "\ud800", "\x85\u2028", "\x1b\x7f\t", "}"]
BUCKET = {"le": "+Inf"}
CASES = {
    "reserved label": ("gauge", [Sample("a", {"__name__": "b"}, 1), Sample("a", {"..name..": "b", "c": "d"}, 1)]),
    "labels that escape to one": ("gauge", [Sample("a", {"b.c": "1", "b_c": "2"}, 1)]),
    "times": ("gauge", [Sample("a", {"b": str(t)}, 1, t) for t in (-5, 0, 1e17, 1e306, Timestamp(-1, 5))]),
    "texts": ("counter", [Sample("a_total", {"b": t, t: "c"}, 1, None, Exemplar({"b": t}, 1)) for t in TEXTS]),
    "buckets": ("histogram", [Sample("a_bucket", {"le": le}, 1) for le in ("x", "nan", "2", "1", "+Inf")]),
    "bucket exemplars": ("histogram", [Sample("a_bucket", BUCKET, 1, None, Exemplar({t: t}, 1)) for t in TEXTS]),
    "strays": ("gauge", [Sample(name, {}, 1) for name in ("a", "a_total", "b", "b_bucket", "a")]),
}


def _families():
    for case, (kind, samples) in CASES.items():
        family = Metric("a", "".join(TEXTS[:-1]), kind)
        family.samples = samples
        yield case, [family]
    registry = CollectorRegistry()
    counter = Counter("jobs", "".join(TEXTS), ["kind"], registry=registry)
    for text in TEXTS:
        counter.labels(text).inc(exemplar={"id": text})
    Histogram("size", "", registry=registry).observe(0.3, exemplar={"id": "a\0b"})
    yield "our own", list(registry.collect())


@pytest.fixture(scope="module")
def bodies():
    """The body and the content type of each path."""
    chosen = {name: negotiate(accept) for name, accept in ACCEPTS.items()}
    return {
        f"/{index}/{name}": (f"{case}, {name}", form.content_type, b"".join(form.encode(families)))
        for index, (case, families) in enumerate(_families())
        for name, form in chosen.items()
    }


@pytest.fixture(scope="module")
def prometheus(bodies, tmp_path_factory):
    """A Prometheus that scrapes all of them, and a case with a fault."""
    bodies["/faulty"] = ("faulty", negotiate(None).content_type, b'a{__name__="b"} 1\n')

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            _, content_type, body = bodies[self.path]
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ExitStack() as stack:
        server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=server.serve_forever).start()
        stack.callback(server.shutdown)
        base = f"http://127.0.0.1:{server.server_port}"
        jobs = [make_job(path, base, path) for path in bodies]
        folder = tmp_path_factory.mktemp("prometheus")
        yield stack.enter_context(run_prometheus(folder, jobs, "200ms", "--enable-feature=exemplar-storage"))


@pytest.fixture(scope="module")
def health(prometheus):
    """The state of each target by path, after all have been scraped: ``up`` or the error."""

    def scraped():
        targets = prometheus.targets()
        if not any(target["health"] == "unknown" or "deadline exceeded" in target["lastError"] for target in targets):
            return {target["scrapePool"]: target["lastError"] or target["health"] for target in targets}
        return None

    return wait_until(scraped)


def test_prometheus_accepts_every_hostile_exposition(health, bodies):
    faults = {bodies[path][0]: state for path, state in health.items() if state != "up" and path != "/faulty"}
    assert faults == {}
    assert len(health) == 2 * (len(CASES) + 1) + 1


def test_prometheus_would_report_a_fault(health):
    assert "not unique" in health["/faulty"]
