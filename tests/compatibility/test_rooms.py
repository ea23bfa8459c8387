"""prometheus_client's import paths and names that have a room here: what they are and that they do the same."""

from __future__ import annotations

import importlib
import io
import re
import socket
import struct
import threading
import urllib.request
from http.server import ThreadingHTTPServer

import prometheus_client.core
import prometheus_client.exposition
import prometheus_client.openmetrics.exposition
import prometheus_client.openmetrics.parser
import prometheus_client.parser
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import asyncmetrics
from asyncmetrics.core import DuplicateTimeseries
from asyncmetrics.exposition import choose_encoder, gzip_accepted
from asyncmetrics.exposition.handler import MetricsHandler
from asyncmetrics.prometheus_client.openmetrics import exposition as openmetrics
from asyncmetrics.prometheus_client.openmetrics import parser as openmetrics_parser
from asyncmetrics.prometheus_client.parser import text_fd_to_metric_families, text_string_to_metric_families
from tests.patience import PATIENCE_SECONDS

TEXT = "# HELP a_total A.\n# TYPE a_total counter\na_total 1.0\n"
OPENMETRICS = '# HELP a A.\n# TYPE a counter\na_total{b="c"} 1.0\n# EOF\n'
THEIR_PARSER = prometheus_client.parser.text_string_to_metric_families
SCHEMES = ("underscores", "dots", "values", "allow-utf-8")


@pytest.fixture
def filled(registry):
    asyncmetrics.Counter("jobs_total", "Jobs.", registry=registry).inc(3)
    return registry


@pytest.mark.parametrize("name", ["Counter", "Gauge", "Summary", "Histogram", "Info", "Enum"])
def test_the_metrics_are_in_core_as_well(name):
    assert getattr(importlib.import_module("asyncmetrics.core"), name) is getattr(asyncmetrics, name)


def test_the_text_parsers_read_the_same():
    (ours,), (theirs,) = (parse(TEXT) for parse in (text_string_to_metric_families, THEIR_PARSER))
    (from_file,) = text_fd_to_metric_families(io.StringIO(TEXT))
    assert str(ours) == str(from_file)
    assert (ours.name, ours.type, ours.documentation) == (theirs.name, theirs.type, theirs.documentation)
    assert [sample[:3] for sample in ours.samples] == [sample[:3] for sample in theirs.samples]


def test_the_openmetrics_parsers_read_the_same():
    (ours,) = openmetrics_parser.text_string_to_metric_families(OPENMETRICS)
    (from_file,) = openmetrics_parser.text_fd_to_metric_families(io.StringIO(OPENMETRICS))
    (theirs,) = prometheus_client.openmetrics.parser.text_string_to_metric_families(OPENMETRICS)
    assert ours == from_file
    assert [sample[:3] for sample in ours.samples] == [sample[:3] for sample in theirs.samples]


@pytest.mark.parametrize("parse", [text_string_to_metric_families, openmetrics_parser.text_string_to_metric_families])
def test_a_text_that_is_no_exposition_is_a_value_error(parse):
    with pytest.raises(ValueError, match="line 1"):
        list(parse("a{b} 1\n# EOF\n"))


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
CLASSIC_BUT_FOR_A_NEWLINE = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\n")
RESERVED = re.compile(r"__[a-zA-Z0-9_]*")


@given(name=NAMES, scheme=st.sampled_from(SCHEMES))
def test_names_are_escaped_the_same(name, scheme):
    assume(not CLASSIC_BUT_FOR_A_NEWLINE.fullmatch(name))  # which they take for a classic name
    theirs = prometheus_client.openmetrics.exposition
    assert openmetrics.escape_metric_name(name, scheme) == theirs.escape_metric_name(name, scheme)


@given(name=NAMES, scheme=st.sampled_from(SCHEMES))
@example(name="__", scheme="values")
def test_label_names_are_escaped_the_same(name, scheme):
    """But those that begin with ``__``: they are classic names, and stay as they are where classic names do."""
    assume(not CLASSIC_BUT_FOR_A_NEWLINE.fullmatch(name))
    theirs = prometheus_client.openmetrics.exposition.escape_label_name(name, scheme)
    kept = RESERVED.fullmatch(name) and scheme in {"values", "allow-utf-8"}
    assert openmetrics.escape_label_name(name, scheme) == (name if kept else theirs)


@pytest.mark.parametrize(
    ("scheme", "written"),
    [("underscores", "up_"), ("dots", "up__"), ("values", "U__up_a_"), ("allow-utf-8", '"up\\n"')],
)
@pytest.mark.parametrize("use", [openmetrics.escape_metric_name, openmetrics.escape_label_name])
def test_a_newline_at_the_end_is_escaped(use, scheme, written):
    assert use("up\n", scheme) == written


def test_an_empty_name_stays_empty():
    assert (openmetrics.escape_metric_name(""), openmetrics.escape_label_name("")) == ("", "")


@pytest.mark.parametrize("use", [openmetrics.escape_metric_name, openmetrics.escape_label_name])
def test_an_escaping_that_there_is_not_is_an_error(use):
    with pytest.raises(ValueError, match="expected one of"):
        use("a", "rot13")


def test_openmetrics_is_written_at_once(filled):
    assert openmetrics.generate_latest(filled) == b"# HELP jobs Jobs.\n# TYPE jobs counter\njobs_total 3.0\n# EOF\n"


def test_another_version_of_openmetrics_is_refused(filled):
    with pytest.raises(ValueError, match=r"expected '1\.0\.0', got '2\.0\.0'"):
        openmetrics.generate_latest(filled, version="2.0.0")


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "text/plain",
        "application/openmetrics-text",
        "application/openmetrics-text; version=1.0.0",
        "nonsense",
    ],
)
def test_the_encoder_is_chosen_as_theirs_is(accept, filled):
    encoder, content_type = choose_encoder(accept)
    _, theirs = prometheus_client.exposition.choose_encoder(accept)
    assert content_type == theirs.replace("; escaping=underscores", "")
    assert encoder(filled).endswith(b"# EOF\n") == ("openmetrics" in content_type)


@pytest.mark.parametrize("header", [None, "", "gzip", "deflate, gzip;q=1.0", "br", "x"])
def test_gzip_is_accepted_as_theirs_is(header):
    assert gzip_accepted(header) == prometheus_client.exposition.gzip_accepted(header)


def test_a_duplicate_is_caught_under_their_name(filled):
    with pytest.raises(DuplicateTimeseries) as raised:
        asyncmetrics.Counter("jobs", "Again.", registry=filled)
    assert "jobs_total" in raised.value.duplicates


def test_the_server_that_is_started_has_their_attributes(filled):
    server, thread = asyncmetrics.start_wsgi_server(0, "127.0.0.1", filled)
    try:
        url = f"http://127.0.0.1:{server.server_port}/metrics"
        with urllib.request.urlopen(url) as answer:
            assert b"jobs_total 3.0" in answer.read()
        assert (server.server_address, thread.daemon) == (("127.0.0.1", server.server_port), True)
    finally:
        server.shutdown()
        server.server_close()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
    with pytest.raises(OSError):
        socket.create_connection(server.server_address, PATIENCE_SECONDS)


@pytest.fixture
def handled(filled):
    server = ThreadingHTTPServer(("127.0.0.1", 0), MetricsHandler.factory(filled))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_handler_of_a_standard_server_serves(handled):
    request = urllib.request.Request(
        f"{handled}/metrics?name[]=jobs_total", headers={"Accept": "application/openmetrics-text"}
    )
    with urllib.request.urlopen(request) as answer:
        assert answer.read().endswith(b"jobs_total 3.0\n# EOF\n")
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")


def test_the_handler_answers_head_without_a_body(handled):
    with urllib.request.urlopen(urllib.request.Request(f"{handled}/", method="HEAD")) as answer:
        assert (answer.status, answer.read()) == (200, b"")


def test_the_handler_prints_nothing_about_a_client_that_resets_its_connection(handled, filled, capfd):
    """socketserver prints a traceback for what a handler raises, and any client can reset as often as it likes."""
    many = asyncmetrics.Gauge("many", "A megabyte of them.", ["name"], registry=filled, max_children=None)
    for number in range(20_000):
        many.labels(f"{number:050}")
    address = ("127.0.0.1", int(handled.rpartition(":")[2]))
    for _ in range(3):
        with socket.create_connection(address) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            client.recv(1000)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    urllib.request.urlopen(f"{handled}/").close()
    assert capfd.readouterr().err == ""


def test_a_handler_serves_the_default_registry_by_default():
    assert MetricsHandler.registry is asyncmetrics.REGISTRY


class Jython:
    """A platform of a test's own."""

    python_version = staticmethod(lambda: "1.2.3")
    python_implementation = staticmethod(lambda: "Test")
    python_version_tuple = staticmethod(lambda: ("1", "2", "3"))


def test_the_platform_can_be_another_one(registry):
    asyncmetrics.PlatformCollector(registry, Jython())
    labels = {"version": "1.2.3", "implementation": "Test", "major": "1", "minor": "2", "patchlevel": "3"}
    assert registry.get_sample_value("python_info", labels) == 1


def test_an_exemplar_without_labels_is_none_as_with_them(registry):
    asyncmetrics.Counter("jobs", "Jobs.", registry=registry).inc(1, exemplar={})
    asyncmetrics.Histogram("size", "Size.", buckets=[1], registry=registry).observe(0.5, exemplar={})
    assert [sample.exemplar for family in registry.collect() for sample in family.samples] == [None] * 5
