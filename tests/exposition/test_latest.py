"""One whole exposition as bytes."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from asyncmetrics import Counter, Gauge
from asyncmetrics.errors import DefinitionError
from asyncmetrics.exposition import generate_latest


def test_it_is_what_prometheus_clients_parser_reads(registry):
    Counter("jobs", "Jobs.", ["kind"], registry=registry).labels('a "b"\n').inc(3)
    (family,) = text_string_to_metric_families(generate_latest(registry).decode())
    assert [(s.name, s.labels, s.value) for s in family.samples] == [("jobs_total", {"kind": 'a "b"\n'}, 3)]


def test_it_takes_the_default_registry():
    assert b"python_info" in generate_latest()


def test_it_takes_a_part_of_a_registry(registry):
    for name in ("one", "two"):
        Gauge(name, "A number.", registry=registry).set(1)
    assert b"one" not in generate_latest(registry.restricted_registry(["two"]))


def test_an_unknown_escaping_is_refused(registry):
    with pytest.raises(DefinitionError, match="escaping: expected one of .*, got 'percent'"):
        generate_latest(registry, "percent")


@pytest.mark.parametrize(("escaping", "name"), [("underscores", "a_b"), ("dots", "a_dot_b"), ("allow-utf-8", '"a.b"')])
def test_names_are_escaped_as_requested(registry, escaping, name):
    Gauge("a.b", "A number.", registry=registry).set(1)
    assert name in generate_latest(registry, escaping).decode()
