"""The format that each Accept header gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics import CollectorRegistry, Gauge
from asyncmetrics.formats.negotiation import (
    CONTENT_TYPE_OPENMETRICS,
    CONTENT_TYPE_PLAIN_0_0_4,
    CONTENT_TYPE_PLAIN_1_0_0,
    CONTENT_TYPE_PROTOBUF,
    is_gzip_accepted,
    negotiate,
)
from asyncmetrics.model.escaping import ESCAPING_SCHEMES

OM = "application/openmetrics-text"
PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3_5 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
# With --enable-feature=native-histograms; from 3.9 on with `scrape_native_histograms`.
PROTOBUF = "application/vnd.google.protobuf"
MESSAGE = "proto=io.prometheus.client.MetricFamily"
PROMETHEUS_2_42_NATIVE = f"{PROTOBUF};{MESSAGE};encoding=delimited,{OM};version=1.0.0;q=0.8,{OM};version=0.0.1;q=0.75"
PROMETHEUS_3_5_NATIVE = f"{PROTOBUF};{MESSAGE};encoding=delimited;q=0.6,{OM};version=1.0.0;escaping=allow-utf-8;q=0.5"
OPENMETRICS_0_0_1 = f"{OM}; version=0.0.1; charset=utf-8"
OFFERED = {CONTENT_TYPE_PLAIN_0_0_4} | {
    base + escaping
    for base in (CONTENT_TYPE_OPENMETRICS, OPENMETRICS_0_0_1, CONTENT_TYPE_PLAIN_1_0_0, CONTENT_TYPE_PROTOBUF)
    for escaping in ("", *(f"; escaping={scheme}" for scheme in ESCAPING_SCHEMES))
}


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (PROMETHEUS_2_42, CONTENT_TYPE_OPENMETRICS),
        (PROMETHEUS_2_42_NATIVE, CONTENT_TYPE_PROTOBUF),
        (PROMETHEUS_3_5_NATIVE, f"{CONTENT_TYPE_PROTOBUF}; escaping=allow-utf-8"),  # as it asks for in text
        (PROMETHEUS_3_5, f"{CONTENT_TYPE_OPENMETRICS}; escaping=allow-utf-8"),
        (None, CONTENT_TYPE_PLAIN_0_0_4),
        ("", CONTENT_TYPE_PLAIN_0_0_4),
        ("*/*", CONTENT_TYPE_PLAIN_0_0_4),
        ("text/*", CONTENT_TYPE_PLAIN_0_0_4),
        ("text/plain", CONTENT_TYPE_PLAIN_0_0_4),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", CONTENT_TYPE_PLAIN_0_0_4),
        ("text/plain;version=1.0.0", CONTENT_TYPE_PLAIN_1_0_0),
        ("text/plain;version=1.0.0;escaping=dots", f"{CONTENT_TYPE_PLAIN_1_0_0}; escaping=dots"),
        ("text/plain;version=2.0.0", CONTENT_TYPE_PLAIN_0_0_4),
        (OM, CONTENT_TYPE_OPENMETRICS),
        (f"{OM};version=1.0.0", CONTENT_TYPE_OPENMETRICS),
        (f"{OM};version=0.0.1", OPENMETRICS_0_0_1),
        (f"{OM};version=0.0.1;escaping=dots", f"{OPENMETRICS_0_0_1}; escaping=dots"),
        (f"{OM};version=0.0.1;q=0.9,{OM};version=1.0.0;q=0.8", OPENMETRICS_0_0_1),
        (f"{PROTOBUF};encoding=delimited;{MESSAGE}", CONTENT_TYPE_PROTOBUF),
        (f'{PROTOBUF};{MESSAGE};encoding="delimited";escaping=values', f"{CONTENT_TYPE_PROTOBUF}; escaping=values"),
        (f"{PROTOBUF};{MESSAGE};encoding=delimited;q=0.7,text/plain;q=0.3", CONTENT_TYPE_PROTOBUF),
        (f"{PROTOBUF};{MESSAGE};encoding=delimited;q=0.3,text/plain;q=0.7", CONTENT_TYPE_PLAIN_0_0_4),
        (f"{PROTOBUF};{MESSAGE};encoding=delimited;q=0,*/*", CONTENT_TYPE_PLAIN_0_0_4),
        (f"{PROTOBUF};{MESSAGE};encoding=text", CONTENT_TYPE_PLAIN_0_0_4),
        (f"{PROTOBUF};{MESSAGE};encoding=compact-text", CONTENT_TYPE_PLAIN_0_0_4),
        (f"{PROTOBUF};{MESSAGE}", CONTENT_TYPE_PLAIN_0_0_4),
        (f"{PROTOBUF};encoding=delimited", CONTENT_TYPE_PLAIN_0_0_4),
        (f"{PROTOBUF};proto=io.prometheus.write.v2.Request;encoding=delimited", CONTENT_TYPE_PLAIN_0_0_4),
        (PROTOBUF, CONTENT_TYPE_PLAIN_0_0_4),
        (f"{OM};version=2.0.0", CONTENT_TYPE_PLAIN_0_0_4),
        ("application/*", CONTENT_TYPE_OPENMETRICS),
        ("application/*;q=0.5, text/plain;q=0.4", CONTENT_TYPE_OPENMETRICS),
        (f'{OM}; version="1.0.0"; q=1', CONTENT_TYPE_OPENMETRICS),
        (f'{OM}; version="1.\\0.0"', CONTENT_TYPE_OPENMETRICS),
        (f'{OM}; a="x,y;q=0"; version=1.0.0', CONTENT_TYPE_OPENMETRICS),
        ("Application/OpenMetrics-Text; VERSION=1.0.0; Q=0.9", CONTENT_TYPE_OPENMETRICS),
        (f" {OM} ; version = 1.0.0 ", CONTENT_TYPE_OPENMETRICS),
        (f"\t{OM}\t;\tversion\t=\t1.0.0\t", CONTENT_TYPE_OPENMETRICS),
        (f"{OM}\xa0", CONTENT_TYPE_PLAIN_0_0_4),
        (f"\x85{OM};version=1.0.0", CONTENT_TYPE_PLAIN_0_0_4),
        (f"{OM}\x0b", CONTENT_TYPE_PLAIN_0_0_4),
        (f"{OM};q=0.5,text/plain;q=0.6", CONTENT_TYPE_PLAIN_0_0_4),
        (f"{OM};q=0.6,text/plain;q=0.5", CONTENT_TYPE_OPENMETRICS),
        (f"text/plain,{OM}", CONTENT_TYPE_PLAIN_0_0_4),
        (f"{OM},text/plain", CONTENT_TYPE_OPENMETRICS),
        (f"{OM};q=0", CONTENT_TYPE_PLAIN_0_0_4),
        (f"{OM};q=0.000, */*", CONTENT_TYPE_PLAIN_0_0_4),
        ("text/plain;q=0, */*", CONTENT_TYPE_OPENMETRICS),
        ("*/*;q=0", CONTENT_TYPE_PLAIN_0_0_4),
        ("*/*;q=0, text/plain;version=1.0.0;q=0.1", CONTENT_TYPE_PLAIN_1_0_0),
        (f"{OM};q=2, text/plain;q=0.1", CONTENT_TYPE_PLAIN_0_0_4),
        (f"{OM};q=high", CONTENT_TYPE_PLAIN_0_0_4),
        (f"{OM};q=0.0001", CONTENT_TYPE_PLAIN_0_0_4),
        (f"{OM};q=-1", CONTENT_TYPE_PLAIN_0_0_4),
        (f'{OM};version="1.0.0', CONTENT_TYPE_PLAIN_0_0_4),
        (f";;;,,,\x00{OM}", CONTENT_TYPE_PLAIN_0_0_4),
        (f"{OM}x", CONTENT_TYPE_PLAIN_0_0_4),
        ("," * 100_000, CONTENT_TYPE_PLAIN_0_0_4),
        ('"' * 100_000, CONTENT_TYPE_PLAIN_0_0_4),
        ("a/b;c=\\" * 10_000, CONTENT_TYPE_PLAIN_0_0_4),
    ],
)  # fmt: skip
def test_each_header_gets_its_format(accept, content_type):
    assert negotiate(accept).content_type == content_type


@pytest.mark.parametrize(
    ("others", "escaping"),
    [
        (f"{OM};escaping=dots;q=0.4,text/plain;version=1.0.0;escaping=values;q=0.5", "values"),
        (f"{OM};escaping=dots;q=0.5,text/plain;version=1.0.0;escaping=values;q=0.5", "dots"),
        (f"{OM};escaping=dots;q=0,text/plain;version=1.0.0;escaping=values;q=0.5", "values"),
        (f"{OM};escaping=none,text/plain;version=1.0.0;escaping=VALUES;q=0.5", "values"),
        (f"{OM};q=0.5", "underscores"),
    ],
)
def test_protobuf_without_a_scheme_has_that_of_the_best_other_range(others, escaping):
    assert negotiate(f"{PROTOBUF};{MESSAGE};encoding=delimited,{others}").escaping == escaping
    assert negotiate(f"{PROTOBUF};{MESSAGE};encoding=delimited;escaping=none,{others}").escaping == "underscores"


@pytest.mark.parametrize("escaping", ESCAPING_SCHEMES)
@pytest.mark.parametrize("accept", [f"{OM};version=1.0.0", "text/plain;version=1.0.0"])
def test_the_requested_escaping_is_used_and_named_in_the_content_type(accept, escaping):
    registry = CollectorRegistry()
    Gauge("a.b_c", "", registry=registry).set(1)
    chosen = negotiate(f"{accept};escaping={escaping.upper()}")
    line = {
        "underscores": "a_b_c 1.0",
        "dots": "a_dot_b__c 1.0",
        "values": "U__a_2e_b__c 1.0",
        "allow-utf-8": '{"a.b_c"} 1.0',
    }
    assert chosen.content_type.endswith(f"; escaping={escaping}")
    assert line[escaping] in b"".join(chosen.encode(registry.collect())).decode().splitlines()


@pytest.mark.parametrize(
    "accept", [OM, f"{OM};escaping=none", f'{OM};escaping="a\r\nb: c"', "text/plain;escaping=dots"]
)
def test_no_escaping_or_one_that_does_not_exist_is_underscores(accept):
    chosen = negotiate(accept)
    assert chosen.escaping == "underscores"
    assert "escaping" not in chosen.content_type


PARTS = st.sampled_from(
    [
        OM,
        "text/plain",
        "*/*",
        "text/*",
        ";",
        ",",
        "=",
        '"',
        "\\",
        "q=",
        "version=",
        "1.0.0",
        "0.0.4",
        "escaping=",
        "dots",
    ]
    + [" ", "0.5", "0"]
)


@given(accept=st.text() | st.lists(PARTS).map("".join))
def test_no_header_raises_or_is_echoed(accept):
    chosen = negotiate(accept)
    assert chosen.content_type in OFFERED
    assert list(chosen.encode([])) in ([], [b"# EOF\n"])
    assert is_gzip_accepted(accept) in {True, False}


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (None, False), ("", False), ("gzip", True), ("GZIP", True), ("x-gzip", True), ("*", True), ("*;q=0", False),
        ("deflate, gzip;q=1.0, *;q=0.5", True), ("gzip;q=0", False), ("gzip;q=0.0, *", False), ("identity", False),
        ("br, deflate", False), ("gzipped", False), ("gzip;q=0.001", True), ("gzip; q=nonsense", False),
        ("deflate , gzip", True), ("*;q=0, gzip", True), ("\tgzip\t", True), ("gzip \t;\tq=0", False),
        ("gzip\xa0", False), ("\x85gzip", False), ("gzip\x0b", False), ("gzip;\xa0q=0", True),
    ],
)  # fmt: skip
def test_gzip_is_used_where_it_is_accepted(header, accepted):
    assert is_gzip_accepted(header) is accepted


@pytest.mark.parametrize(
    "header",
    ["*/*;q=0," * 50_000, '"a",' * 50_000, ";q=" * 50_000, "; " + "a" * 200_000, "\\" * 200_000, '"\\' * 100_000],
    ids=["ranges", "quotes", "qualities", "a name", "backslashes", "open quotes"],
)
def test_only_the_beginning_of_a_header_is_read(header):
    """The header is parsed on the event loop, and a client can send any header."""
    assert negotiate(f"{header},{OM}").content_type == CONTENT_TYPE_PLAIN_0_0_4
    assert not is_gzip_accepted(f"{header},gzip")
