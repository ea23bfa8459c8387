"""A beginner's errors: each names the metric as the program wrote it, what came, and what to write instead."""

from __future__ import annotations

import datetime as dt
import re

import prometheus_client
import pytest

import asyncmetrics
from asyncmetrics import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    MetricsMiddleware,
    Summary,
    exponential_buckets,
    generate_latest,
    linear_buckets,
    make_asgi_app,
    make_wsgi_app,
    push_to_gateway,
    start_http_server,
    write_to_textfile,
)
from asyncmetrics.core import CounterMetricFamily, HistogramMetricFamily, InfoMetricFamily, StateSetMetricFamily
from asyncmetrics.errors import DuplicateMetricError, MetricsError

KINDS = [Counter, Gauge, Summary, Histogram, Info, Enum]
# What no message may have: names that only the library's source has.
INTERNAL = re.compile(r"\b(Memory|Locked|Shared)[A-Z]\w*|\bDescriptor\b|MetricBase|\b_[A-Z]\w*|__init__|\{\}")


def declare(kind=Counter, name="orders_total", documentation="Orders taken.", *arguments, **options):
    registry = options.pop("registry", None)
    if kind is Enum:
        options.setdefault("states", ["open", "closed"])
    return kind(name, documentation, *arguments, registry=registry, **options)


async def app(scope, receive, send):
    """An ASGI application."""


DECLARATIONS = {
    "a number for a name": (lambda: Counter(5, "x"), "metric name 5: expected a str such as 'orders_total'"),
    "no name": (lambda: Counter("", "x"), "metric name '': expected a str such as 'orders_total'"),
    "a hyphen": (lambda: declare(name="orders-total"), "metric name 'orders-total': .*write 'orders_total'"),
    "a blank in the namespace": (lambda: declare(namespace="my shop"), "'my shop_orders_total': .*write 'my_shop_o"),
    "labels for the documentation": (
        lambda: Counter("orders_total", ["kind"], registry=None),
        r"orders_total: expected documentation= to be a str .*, got \['kind'\]",
    ),
    "a string of labels": (
        lambda: declare(Counter, "orders_total", "x", "abc"),
        r"orders_total: expected labelnames= .*, got the string 'abc': write \['abc'\]",
    ),
    "a number of labels": (lambda: declare(labelnames=5), "orders_total: expected labelnames= to be a list .*, got 5"),
    "a number as a label": (lambda: declare(labelnames=[1]), "orders_total: expected labelnames= .* a str, got 1"),
    "a set of labels": (lambda: declare(labelnames={"a"}), r"a set has no order, write \['a'\]"),
    "labels with values": (lambda: declare(labelnames={"a": "b"}), "orders_total: expected labelnames= .*, got {'a'"),
    "a string of context labels": (lambda: declare(context_labels="a"), r"context_labels= .*: write \['a'\]"),
    "a bad label": (lambda: declare(labelnames=["a-b"]), "orders_total: bad label name 'a-b': .*write 'a_b'"),
    "a number for the namespace": (
        lambda: declare(namespace=5),
        "orders_total: expected namespace= to be a str, got 5",
    ),
    "a number for the subsystem": (
        lambda: declare(subsystem=5),
        "orders_total: expected subsystem= to be a str, got 5",
    ),
    "a number for the unit": (lambda: declare(unit=5), "orders_total: expected unit= to be a str, got 5"),
    "a blank in the unit": (lambda: declare(unit="a b"), "orders_total: expected unit= to be letters"),
    "a unit of an enum": (lambda: declare(Enum, "door", unit="s"), "door: expected unit= to be left out"),
    "text for max_children": (
        lambda: declare(max_children="x"),
        "orders_total: expected max_children= to be an int of 1 or more, or None, got the string 'x'",
    ),
    "digits for max_children": (lambda: declare(max_children="5"), "got the string '5': write 5"),
    "an hour for the ttl": (
        lambda: declare(ttl="1h"),
        "orders_total: expected ttl= .*, got the string '1h': write 3600",
    ),
    "a timedelta for the ttl": (lambda: declare(ttl=dt.timedelta(minutes=1)), "expected ttl= .*: write 60"),
    "text for exist_ok": (lambda: declare(exist_ok="no"), "orders_total: expected exist_ok= to be True or False"),
    "text for per_worker": (lambda: declare(per_worker="no"), "orders_total: expected per_worker= to be True or False"),
    "a number for the buckets": (
        lambda: declare(Histogram, "sizes", buckets=5),
        r"sizes: expected buckets= to be a list of numbers in increasing order, such as \[0.1, 1, 10\], got 5",
    ),
    "text for the buckets": (lambda: declare(Histogram, "sizes", buckets="123"), "sizes: .*got the string '123'"),
    "a misspelt source of exemplars": (
        lambda: declare(exemplars="traceparnt"),
        "orders_total: expected exemplars= .*the string 'traceparnt': did you mean 'traceparent'",
    ),
    "buckets in disorder": (lambda: declare(Histogram, "sizes", buckets=[2, 1]), r"increasing order.*got \[2, 1\]"),
    "text for the states": (
        lambda: declare(Enum, "door", states="open"),
        r"door: expected states= .*: write \['open'\]",
    ),
    "no states": (lambda: Enum("door", "x", registry=None), "door: expected states= to be a list of one or more"),
    "numbers for the states": (lambda: declare(Enum, "door", states=[1]), "door: expected states= .* a str, got 1"),
    "a mode that is none": (
        lambda: declare(Gauge, "queue", multiprocess_mode="x"),
        "queue: expected multiprocess_mode= to be one of .*'livesum'.*, got 'x'",
    ),
    "text for a bucket's start": (
        lambda: linear_buckets("1", 2, 3),
        "linear_buckets: expected start= .*the string '1'",
    ),
    "text for a count": (lambda: exponential_buckets(1, 2, "3"), "exponential_buckets: expected count= .*: write 3"),
    "buckets beyond all numbers": (lambda: exponential_buckets(1, 10, 999), "bounds that are finite: choose a smaller"),
}
CALLS = {
    "help": (lambda: Counter("orders_total", help="x"), "'help'; did you mean 'documentation'"),
    "description": (lambda: Counter("orders_total", description="x"), "'description'; did you mean 'documentation'"),
    "no documentation": (
        lambda: Counter("orders_total"),
        "missing a required argument: 'documentation'; the order is na",
    ),
    "too many": (
        lambda: Counter("orders_total", "x", [], "", "", "", None, 5),
        "too many .*; the order is name, docum",
    ),
    "the option of another kind": (lambda: declare(states=["a"]), "keyword argument 'states', which only Enum has"),
    "the mode of a gauge": (lambda: declare(Histogram, multiprocess_mode="all"), "which only Gauge has"),
}
USES = {
    "text": (lambda: declare().inc("a"), "^orders_total: expected a real number .*, got 'a'"),
    "a negative amount": (lambda: declare().inc(-1), "^orders_total: expected a finite amount .* a Gauge"),
    "without total": (lambda: declare(name="orders").inc(-1), "^orders_total: "),
    "a negative amount of a child": (
        lambda: declare(labelnames=["kind"]).labels("retail").inc(-1),
        "^orders_total{kind='retail'}: expected a finite amount",
    ),
    "None for a gauge": (lambda: declare(Gauge, "queue").set(None), "^queue: expected a real number .*, got None"),
    "text for a histogram": (lambda: declare(Histogram, "sizes").observe("x"), "^sizes: expected a real number"),
    "no labels chosen": (
        lambda: declare(labelnames=["kind"]).inc(),
        r"^orders_total: has the labels \['kind'\]: choose a child by labels\(\) first, as in labels\(kind=…\)",
    ),
    "too few values": (
        lambda: declare(labelnames=["kind", "shop"]).labels("retail"),
        r"^orders_total: has the labels \['kind', 'shop'\]: got the values \['retail'\]; give one value for each",
    ),
    "a dict of values": (lambda: declare(labelnames=["a", "b"]).labels({"a": 1}), r"; write labels\(\*\*{'a': 1}\)"),
    "a list of values": (
        lambda: declare(labelnames=["a", "b"]).labels(["x", "y"]),
        r"; write labels\(\*\['x', 'y'\]\)",
    ),
    "a misspelt label": (
        lambda: declare(labelnames=["kind"]).labels(knid="x"),
        "unknown .'knid'.; did you mean 'kind'",
    ),
    "a context label": (
        lambda: declare(context_labels=["tenant"]).labels(tenant="acme"),
        "^orders_total: .*context labels are bound: write bound_labels.tenant=…",
    ),
    "labels of a metric without": (lambda: declare().labels("x"), "^orders_total: has no labels: .*by labelnames="),
    "labels of a child": (
        lambda: declare(labelnames=["a"]).labels("x").labels("y"),
        r"^orders_total{a='x'}: .*labels\('y'\) cannot be chained: give all values to one labels\(\)",
    ),
    "labels of a child in context": (
        lambda: declare(labelnames=["a"], context_labels=["b"]).labels("x").labels("y"),
        "^orders_total{a='x'}: ",
    ),
    "removing too few": (lambda: declare(labelnames=["a", "b"]).remove("x"), "^orders_total: has the labels"),
    "removing by an unknown label": (
        lambda: declare(labelnames=["a"]).remove_by_labels({"x": "y"}),
        r"^orders_total: has the labels \['a'\]: unknown \['x'\]",
    ),
    "facts by name": (
        lambda: declare(Info, "build").info(version="1.2.3"),
        r"^build_info: expected one mapping, got info\(version=…\): write info\({'version': '1.2.3'}\)",
    ),
    "facts by name of a child": (
        lambda: declare(Info, "build", labelnames=["a"]).labels("x").info(version="1"),
        r"^build_info{a='x'}: expected one mapping",
    ),
    "facts by name with a time to live": (
        lambda: declare(Info, "build", ttl=60).info(version="1"),
        "^build_info: expected one mapping",
    ),
    "facts by name in context": (
        lambda: declare(Info, "build", context_labels=["a"]).info(version="1"),
        "^build_info{a=''}: expected one mapping",
    ),
    "text for facts": (lambda: declare(Info, "build").info("x"), r"^build_info: .*: write info\({'version'"),
    "no facts": (lambda: declare(Info, "build").info(), r"^build_info: expected a mapping of names to text"),
    "a state that is none": (lambda: declare(Enum, "door").state("x"), r"^door: expected one of .*'closed'.*got 'x'"),
    "an exemplar that is text": (lambda: declare().inc(1, "x"), "^orders_total: expected an exemplar that maps"),
}
OPTIONS = {
    "a port as text": (
        lambda: start_http_server("9000"),
        "^port: expected an int .*, got the string '9000': write 9000",
    ),
    "a registry for the address": (lambda: start_http_server(0, REGISTRY), "^addr: expected a str such as '127.0.0.1'"),
    "a certificate that is a number": (lambda: start_http_server(0, certfile=5), "^certfile: expected a path"),
    "hours for a timeout": (lambda: start_http_server(0, timeout_seconds="1h"), "^timeout_seconds: .*: write 3600"),
    "text for compression": (
        lambda: make_asgi_app(disable_compression="no"),
        "^disable_compression: expected True or F",
    ),
    "a list for on_error": (lambda: make_asgi_app(on_error=[]), "^on_error: expected 'skip' or 'fail', got"),
    "arguments in disorder": (lambda: write_to_textfile(REGISTRY, "x.prom"), "^path: expected a path as a str"),
    "no path": (lambda: write_to_textfile(""), "^path: expected a path"),
    "no escaping": (lambda: generate_latest(escaping=[]), "^escaping: expected one of"),
    "a gateway that is a number": (
        lambda: push_to_gateway(9091, "job", REGISTRY),
        "^gateway: expected a str such as 'localhost:9091', got 9091",
    ),
    "no job": (lambda: push_to_gateway("localhost:9091", None, REGISTRY), "^job: expected a str"),
    "a grouping key that is text": (
        lambda: push_to_gateway("localhost:9091", "job", REGISTRY, "shop"),
        "^grouping_key: expected a mapping .*, got the string 'shop'",
    ),
    "text for a timeout": (lambda: push_to_gateway("h:1", "job", REGISTRY, timeout="30"), "^timeout: .*: write 30"),
    "a handler that is none": (lambda: push_to_gateway("h:1", "job", REGISTRY, handler=5), "^handler: expected a func"),
    "a number for the buckets": (lambda: MetricsMiddleware(app, buckets=5), "^buckets: expected a list of numbers"),
    "a number to exclude": (lambda: MetricsMiddleware(app, exclude=5), "^exclude: expected a list of paths"),
    "a name to exclude": (lambda: MetricsMiddleware(app, exclude=["health"]), "^exclude: .*: write '/health'"),
    "text for extra labels": (lambda: MetricsMiddleware(app, extra_labels="x"), "^extra_labels: expected a mapping"),
    "text for body sizes": (lambda: MetricsMiddleware(app, body_sizes="no"), "^body_sizes: expected True or False"),
    "a label that is there": (lambda: MetricsMiddleware(app, context_labels=["method"]), "^context_labels: bad label"),
    "a class of a collector": (
        lambda: REGISTRY.register(Counter),
        r"^register\(\): .*, got the class itself: register an instance, Counter\(\)",
    ),
    "a number for a collector": (
        lambda: REGISTRY.register(5),
        r"^register\(\): expected a collector, an object with a method collect\(\), got 5",
    ),
    "text for names": (lambda: REGISTRY.restricted_registry("up"), r"^names: .*, got the string 'up': write \['up'\]"),
    "text for labels": (lambda: REGISTRY.get_sample_value("up", "x"), "^labels: expected a mapping"),
    "text for target labels": (lambda: REGISTRY.set_target_info("x"), "^target_info: expected a mapping"),
    "a name for a registry": (lambda: CollectorRegistry("shop"), "^auto_describe: expected True or False"),
    "a process id": (lambda: asyncmetrics.ProcessCollector(pid=7, registry=None), "^pid: .*: write lambda: 7"),
    "text for a family's labels": (
        lambda: CounterMetricFamily("a", "x", labels="bc"),
        r"^metric 'a': .*write \['bc'\]",
    ),
    "text for a family's values": (
        lambda: CounterMetricFamily("a", "x", labels=["b"]).add_metric("x", 1),
        r"^metric 'a': expected labels= .*: write \['x'\]",
    ),
    "a family's name that is a number": (lambda: CounterMetricFamily(5, "x"), "^name: expected a str"),
    "a family's buckets": (lambda: HistogramMetricFamily("a", "x", 5), "^metric 'a': expected buckets="),
    "a family's facts": (lambda: InfoMetricFamily("a", "x", "y"), "^metric 'a': expected value= to be a mapping"),
    "a family's states": (lambda: StateSetMetricFamily("a", "x", "y"), "^metric 'a': expected value= to be a mapping"),
}
MISTAKES = [
    pytest.param(*row, id=f"{group}: {name}")
    for group, rows in (("declaration", DECLARATIONS), ("use", USES), ("option", OPTIONS))
    for name, row in rows.items()
]


@pytest.mark.parametrize(("mistake", "message"), MISTAKES)
def test_a_mistake_is_told_in_the_programs_names_with_a_remedy(mistake, message):
    with pytest.raises(MetricsError, match=message) as caught:
        mistake()
    assert INTERNAL.search(str(caught.value)) is None


@pytest.mark.parametrize(("mistake", "message"), [pytest.param(*row, id=name) for name, row in CALLS.items()])
def test_a_wrong_call_is_a_type_error_of_the_class_and_the_metric(mistake, message):
    with pytest.raises(TypeError, match=f"^(Counter|Histogram)\\('orders_total'\\): .*{message}") as caught:
        mistake()
    assert INTERNAL.search(str(caught.value)) is None


def test_an_option_of_several_kinds_is_one_that_they_have():
    with pytest.raises(
        TypeError, match=r"^Gauge\('orders_total'\): .*'exemplars', which only Counter and Histogram have$"
    ):
        declare(Gauge, exemplars="trace")


@pytest.mark.parametrize("word", ["labels", "label_names", "label", "tags"])
@pytest.mark.parametrize("kind", KINDS)
def test_another_word_for_labelnames_is_corrected_by_every_kind(kind, word):
    """``labels`` is the spelling of the talk that this library comes from."""
    message = rf"^{kind.__name__}\('orders_total'\): got an unexpected keyword argument '{word}'; did you mean 'labeln"
    with pytest.raises(TypeError, match=message):
        declare(kind, **{word: ["a"]})


@pytest.mark.parametrize(
    ("kind", "option", "hint"),
    [
        (Counter, {"exemplar": "trace"}, "; did you mean 'exemplars'?"),
        (Histogram, {"schema": 3}, "; did you mean 'native'?"),
        (Gauge, {"native": True}, ", which only Histogram has"),
        (Gauge, {"exemplars": "trace"}, ", which only Counter and Histogram have"),
    ],
)
def test_an_option_of_native_histograms_or_exemplars_is_corrected(kind, option, hint):
    (word,) = option
    message = f"{kind.__name__}('orders_total'): got an unexpected keyword argument {word!r}{hint}"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        declare(kind, **option)


@pytest.mark.parametrize(
    "call",
    [
        lambda: declare().inc(1, 2, 3),
        lambda: declare().inc(by=1),
        lambda: declare(labelnames=["a"]).inc(by=1),
        lambda: declare(labelnames=["a"]).labels("x").inc(by=1),
        lambda: declare(context_labels=["a"]).inc(by=1),
        lambda: declare(Gauge).set(),
        lambda: declare(Gauge).set_to_current_time(5),
        lambda: declare(Histogram).observe(),
        lambda: declare(Summary).observe(1, 2, 3),
        lambda: declare(Info).info({}, {}),
        lambda: declare(Enum).state(),
        lambda: declare(labelnames=["a"]).remove(a="x"),
        lambda: declare(ttl=60).inc(by=1),
        lambda: declare(Gauge, ttl=60).set(1, 2),
    ],
)
def test_pythons_error_about_an_operation_names_no_class_of_the_library(call):
    with pytest.raises(TypeError, match=r"^[a-z_]+\(\) (takes|missing|got)"):
        call()


TAKE_A_REGISTRY = {
    **{kind.__name__: lambda registry, kind=kind: declare(kind, registry=registry) for kind in KINDS},
    "make_asgi_app": make_asgi_app,
    "make_wsgi_app": make_wsgi_app,
    "start_http_server": lambda registry: start_http_server(0, registry=registry),
    "generate_latest": generate_latest,
    "write_to_textfile": lambda registry: write_to_textfile("never.prom", registry),
    "push_to_gateway": lambda registry: push_to_gateway("localhost:1", "job", registry),
    "pushadd_to_gateway": lambda registry: asyncmetrics.pushadd_to_gateway("localhost:1", "job", registry),
    "MetricsMiddleware": lambda registry: MetricsMiddleware(app, registry=registry),
    "CallMetrics": lambda registry: asyncmetrics.CallMetrics("orders", "Orders.", registry=registry),
    "GCCollector": asyncmetrics.GCCollector,
    "PlatformCollector": asyncmetrics.PlatformCollector,
    "ProcessCollector": lambda registry: asyncmetrics.ProcessCollector(registry=registry),
}


@pytest.mark.parametrize("take", TAKE_A_REGISTRY.values(), ids=TAKE_A_REGISTRY)
@pytest.mark.parametrize(
    ("registry", "remedy"),
    [
        ("x", "got the string 'x'"),
        (5, "got 5"),
        (CollectorRegistry, r"got the class CollectorRegistry: create one, CollectorRegistry\(\)"),
        (prometheus_client.CollectorRegistry(), "'from asyncmetrics import REGISTRY, .*PrometheusClientCollector"),
        (prometheus_client.REGISTRY, "change the import to 'from asyncmetrics import REGISTRY, CollectorRegistry'"),
    ],
    ids=["text", "a number", "the class", "prometheus_client's", "prometheus_client's default"],
)
def test_what_is_no_registry_is_refused_wherever_one_is_taken(take, registry, remedy):
    with pytest.raises(MetricsError, match=f"^registry: expected a CollectorRegistry of asyncmetrics, .*{remedy}"):
        take(registry)


def test_metrics_do_not_register_in_a_restricted_registry(registry):
    restricted = registry.restricted_registry(["orders_total"])
    with pytest.raises(
        MetricsError, match="registry: .*that collectors can register in.*: pass the registry that it r"
    ):
        declare(registry=restricted)


@pytest.mark.parametrize("options", [{}, {"exist_ok": True}])
def test_a_second_metric_that_differs_is_told_the_difference_and_not_exist_ok(registry, options):
    first = declare(registry=registry)
    with pytest.raises(DuplicateMetricError) as caught:
        declare(Counter, "orders_total", "x", ["kind"], registry=registry, **options)
    assert str(caught.value) == (
        "Counter('orders_total') cannot be registered: the registry already has Counter('orders_total'), and it "
        "differs: it has labelnames=[] and not ['kind']. Declare both alike, give one of them another name, or "
        "unregister the existing one (error.existing) first."
    )
    assert caught.value.existing is first


def test_a_second_metric_of_another_kind_is_told_so(registry):
    declare(registry=registry)
    with pytest.raises(DuplicateMetricError, match="belongs to Counter.'orders_total'.*another kind. Declare"):
        declare(Gauge, registry=registry, exist_ok=True)


def test_a_second_metric_that_is_equal_is_told_exist_ok(registry):
    declare(registry=registry)
    with pytest.raises(DuplicateMetricError, match=r"already has Counter\('orders_total'\)\. Pass exist_ok=True to"):
        declare(registry=registry)


def test_a_collector_that_is_registered_twice_is_not_told_exist_ok(registry):
    counter = declare(registry=registry)
    with pytest.raises(DuplicateMetricError) as caught:
        registry.register(counter)
    assert "exist_ok" not in str(caught.value)


def test_a_mistake_leaves_no_metric_behind(registry):
    for row in ({"ttl": "1h"}, {"max_children": "x"}, {"exist_ok": "x"}, {"labelnames": 5}, {"unit": 5}):
        with pytest.raises(MetricsError):
            declare(registry=registry, **row)
    assert list(registry.collect()) == []
