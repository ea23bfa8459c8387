"""Kinds of metrics that programs derive from `MetricWrapperBase`, with both libraries."""

from __future__ import annotations

import copy
import importlib
import pickle
from pathlib import Path
from typing import Any

import pytest

import asyncmetrics
from asyncmetrics import prometheus_client as ours
from asyncmetrics.prometheus_client.metrics import MetricWrapperBase
from asyncmetrics.storage import SharedStorage


@pytest.fixture
def registry(library: Any) -> Any:
    """A fresh registry of the library."""
    return library.CollectorRegistry()


@pytest.fixture
def base(library: Any) -> Any:
    """The class of the library from which programs derive."""
    return importlib.import_module(f"{library.__name__}.metrics").MetricWrapperBase


@pytest.fixture
def settable_counter(library: Any, base: Any) -> Any:
    """A counter that mirrors another system's: it is set, also to a lower number."""
    values = importlib.import_module(f"{library.__name__}.values")

    class SettableCounter(base):
        _type = "counter"

        def _metric_init(self) -> None:
            self._value = values.ValueClass(
                self._type, self._name, f"{self._name}_total", self._labelnames, self._labelvalues, self._documentation
            )

        def set(self, value: float) -> None:
            self._raise_if_not_observable()
            self._value.set(value)

        def _child_samples(self) -> Any:
            return [library.samples.Sample("_total", {}, self._value.get(), None, None)]

    return SettableCounter


@pytest.fixture
def switch(library: Any, base: Any) -> Any:
    """A state with an option of its own."""

    class Switch(base):
        _type = "stateset"
        _reserved_labelnames = ("state",)

        def __init__(
            self, name: str, documentation: str, labelnames: Any = (), positions: Any = (), **rest: Any
        ) -> None:
            self._positions = positions
            super().__init__(name, documentation, labelnames, **rest)
            self._kwargs["positions"] = positions

        def _metric_init(self) -> None:
            self._at = 0

        def turn(self, position: str) -> None:
            self._at = self._positions.index(position)

        def _child_samples(self) -> Any:
            for number, position in enumerate(self._positions):
                yield library.samples.Sample("", {"state": position}, number == self._at)

    return Switch


def test_without_labels(settable_counter: Any, registry: Any) -> None:
    """The metric itself has the number."""
    sent = settable_counter("sent_total", "Sent.", namespace="shop", registry=registry)
    sent.set(5)
    sent.set(3)
    assert registry.get_sample_value("shop_sent_total") == 3
    assert (sent._name, str(sent), bool(sent._is_parent())) == ("shop_sent", "counter:shop_sent", False)


def test_a_child_for_each_label_set(settable_counter: Any, registry: Any) -> None:
    """`labels()` creates an object of the class once, and finds it again."""
    sent = settable_counter("sent", "Sent.", ["to", "by"], registry=registry)
    sent.labels("a", 1).set(3)
    sent.labels(by="2", to="b").set(4)
    assert type(sent.labels("a", "1")) is settable_counter
    assert sent.labels("a", "1") is sent.labels(to="a", by=1)
    assert registry.get_sample_value("sent_total", {"to": "a", "by": "1"}) == 3
    assert registry.get_sample_value("sent_total", {"to": "b", "by": "2"}) == 4
    assert list(sent._metrics) == [("a", "1"), ("b", "2")]


def test_children_have_the_whole_definition(settable_counter: Any, registry: Any) -> None:
    """And what the program has put into ``_kwargs`` besides."""
    sent = settable_counter("sent", "Sent.", ["to"], "shop", "mail", "bytes", registry=registry)
    sent._kwargs["namespace"] = "shop"
    child = sent.labels("a")
    assert (child._name, child._documentation, child._unit) == ("shop_mail_sent_bytes", "Sent.", "bytes")
    assert repr(child).endswith("SettableCounter(shop_mail_sent_bytes)")


class Picklable(MetricWrapperBase):
    """A metric whose number is a plain attribute."""

    _type = "gauge"

    def _metric_init(self) -> None:
        self.value = 0


def test_copies() -> None:
    """What has no lock can be pickled and copied, as with prometheus_client."""
    plain = Picklable("size", "Size.", registry=None)
    child = Picklable("sizes", "Sizes.", ["of"]).labels("a")
    ours.REGISTRY.unregister(ours.REGISTRY._names_to_collectors["sizes"])
    for metric in (plain, child):
        metric.value = 3
        assert pickle.loads(pickle.dumps(metric)).value == copy.deepcopy(metric).value == 3


def test_an_option_of_its_own_reaches_the_children(switch: Any, library: Any, registry: Any) -> None:
    """What is in ``_kwargs`` is passed on."""
    light = switch("light", "L.", ["room"], ["off", "on"], registry=registry)
    light.labels("hall").turn("on")
    assert b'light{room="hall",state="on"} 1.0' in library.generate_latest(registry)


def test_children_are_removed(settable_counter: Any, registry: Any) -> None:
    """By all labels, by some, and all of them."""
    sent = settable_counter("sent", "Sent.", ["to", "by"], registry=registry)

    def fill() -> None:
        for to in "ab":
            for by in "xy":
                sent.labels(to, by).set(1)

    fill()
    sent.remove("a", "x")
    sent.remove("no", "child")
    assert len(sent._metrics) == 3
    sent.remove_by_labels({})
    assert len(sent._metrics) == 3
    sent.remove_by_labels({"by": "y"})
    assert list(sent._metrics) == [("b", "x")]
    sent.clear()
    assert registry.get_sample_value("sent_total", {"to": "b", "by": "x"}) is None


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda sent: sent.labels("a"), "Incorrect label count"),
        (lambda sent: sent.labels(to="a"), "Incorrect label names"),
        (lambda sent: sent.labels("a", by="x"), r"Can't pass both \*args and \*\*kwargs"),
        (lambda sent: sent.labels("a", "x").labels("a", "x"), "already has labels set"),
        (lambda sent: sent.remove("a"), "Incorrect label count"),
        (lambda sent: sent.remove_by_labels({"no": "x"}), "Unknown label names"),
        (lambda sent: sent.set(1), "counter metric is missing label values"),
    ],
)
def test_words_that_programs_match_on(use: Any, words: str, settable_counter: Any, registry: Any) -> None:
    """Wrong labels are a ValueError with prometheus_client's words."""
    with pytest.raises(ValueError, match=words):
        use(settable_counter("sent", "Sent.", ["to", "by"], registry=registry))


def test_labels_of_a_metric_without_labels(settable_counter: Any, registry: Any) -> None:
    """The error has prometheus_client's words."""
    sent = settable_counter("sent", "Sent.", registry=registry)
    for use in (sent.labels, sent.remove):
        with pytest.raises(ValueError, match="No label names were set when constructing counter:sent"):
            use("a")


def test_an_old_word_for_unknown(base: Any, registry: Any) -> None:
    """``untyped`` is the text format's word."""
    methods = {"_type": "untyped", "_metric_init": lambda _: None, "_child_samples": lambda _: ()}
    type("Mirrored", (base,), methods)("load", "L.", unit="seconds", registry=registry)
    (family,) = registry.collect()
    assert (family.name, family.type) == ("load_seconds", "unknown")


def test_wrong_names(switch: Any, registry: Any) -> None:
    """Names are checked as those of other metrics, and a name can be registered once."""
    with pytest.raises(ValueError, match="Reserved label"):
        switch("light", "L.", ["state"], registry=registry)
    switch("light", "L.", registry=registry)
    with pytest.raises(ValueError, match="Duplicated timeseries in CollectorRegistry"):
        switch("light", "L.", registry=registry)


def test_its_methods_come_before_those_of_a_kind(library: Any, base: Any, registry: Any) -> None:
    """A class derived from the base, put before a kind, replaces methods of that kind."""

    class Mirrored(base):
        def collect(self) -> Any:
            family = self._get_metric()
            family.add_sample(f"{self._name}_total", {}, 7.0)
            return [family]

    type("MirroredCounter", (Mirrored, library.Counter), {})("sent", "Sent.", registry=registry).inc()
    assert registry.get_sample_value("sent_total") == 7


def test_a_class_without_a_type_says_what_is_missing() -> None:
    """The error names the class and the attribute."""
    with pytest.raises(ValueError, match="class Own: expected a _type that is one of"):
        type("Own", (MetricWrapperBase,), {})("m", "M.", registry=None)


@pytest.mark.parametrize("method", ["_metric_init", "_child_samples"])
def test_a_class_without_a_method_says_what_is_missing(method: str) -> None:
    """The error names the class and the method."""
    others = {"_metric_init": lambda _: None, "_child_samples": lambda _: ()}
    others.pop(method)
    with pytest.raises(NotImplementedError, match=f"class Own: override {method}"):
        type("Own", (MetricWrapperBase,), {"_type": "gauge", **others})("m", "M.", registry=None).collect()


@pytest.mark.parametrize("parent", [MetricWrapperBase, ours.Gauge])
def test_numbers_of_one_of_several_workers_are_logged_once_and_counted(
    parent: type, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A class that makes its samples itself knows those of its own process."""
    workers = [asyncmetrics.CollectorRegistry(storage=SharedStorage(str(tmp_path / "shared"))) for _ in range(2)]
    methods = {"_type": "gauge", "_metric_init": lambda _: None, "_child_samples": lambda _: [("", {}, 1.0)]}
    own: Any = type("Own", (parent,), methods)
    own("size", "Size.", registry=workers[0])
    for registry in workers:
        asyncmetrics.Counter("jobs_total", "Jobs.", registry=registry)
    for _ in range(3):
        assert workers[0].get_sample_value("size") == 1
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("size exposes the numbers of one worker, and there are several")
    counted = workers[1].get_sample_value("asyncmetrics_single_worker_collections_total", {"collector": "size"})
    assert counted == 3
