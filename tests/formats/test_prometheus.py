"""A real Prometheus scrapes the samples of hostile collectors and clients. One bad line would fail the target."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import urllib.error
import urllib.request
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from asyncmetrics import CollectorRegistry, Counter, Histogram
from asyncmetrics.core import Exemplar, Metric, Sample, Timestamp
from asyncmetrics.formats.negotiation import negotiate
from tests.patience import PATIENCE_SECONDS, wait_until

pytestmark = [pytest.mark.real, pytest.mark.slow]

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
LISTENING = re.compile(r'msg="Listening on"[^\n]*? address=(127\.0\.0\.1:\d+)')


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
def prometheus(bodies, binary, tmp_path_factory):
    """The address of a Prometheus that scrapes all paths and one exposition with a fault."""
    program = binary("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
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
        jobs = "".join(
            f"- job_name: '{path}'\n  metrics_path: '{path}'\n"
            f"  static_configs: [{{targets: ['127.0.0.1:{server.server_port}']}}]\n"
            for path in bodies
        )
        (folder / "prometheus.yml").write_text(f"global: {{scrape_interval: 200ms}}\nscrape_configs:\n{jobs}")
        log = stack.enter_context((folder / "log").open("w"))
        process = subprocess.Popen(
            [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
            + ["--web.listen-address=127.0.0.1:0", "--enable-feature=exemplar-storage"],
            stderr=log,
        )
        stack.callback(process.wait, PATIENCE_SECONDS)
        stack.callback(process.terminate)
        yield wait_until(lambda: LISTENING.search((folder / "log").read_text()))[1]


@pytest.fixture(scope="module")
def health(prometheus):
    """The state of each target by path, after all have been scraped: ``up`` or the error."""

    def scraped():
        try:
            with urllib.request.urlopen(f"http://{prometheus}/api/v1/targets") as answer:
                targets = json.load(answer)["data"]["activeTargets"]
        except urllib.error.HTTPError as error:
            error.close()
            assert error.code == 503  # it is not ready yet
            return None
        if not any(target["health"] == "unknown" or "deadline exceeded" in target["lastError"] for target in targets):
            return {target["scrapePool"]: target["lastError"] or target["health"] for target in targets}
        return None

    return wait_until(scraped)


def test_prometheus_takes_every_hostile_exposition(health, bodies):
    faults = {bodies[path][0]: state for path, state in health.items() if state != "up" and path != "/faulty"}
    assert faults == {}
    assert len(health) == 2 * (len(CASES) + 1) + 1


def test_prometheus_would_report_a_fault(health):
    assert "not unique" in health["/faulty"]
