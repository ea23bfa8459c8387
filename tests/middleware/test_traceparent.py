"""Exemplars from the header ``traceparent`` of a request: W3C Trace Context."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from contextvars import ContextVar
from weakref import ref

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmetrics import Counter
from asyncmetrics.context import bind_labels
from asyncmetrics.errors import DuplicateMetricError
from asyncmetrics.middleware.traceparent import parse_traceparent
from tests.asgi import make_scope
from tests.loops import on_every_loop
from tests.thoroughness import examples

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADER = f"00-{TRACE}-{SPAN}-01".encode()
LABELS = {"trace_id": TRACE, "span_id": SPAN}

RIGHT = {
    "version 00": HEADER,
    "another flag beside the sampled one": HEADER[:-2] + b"03",
    "all flags": HEADER[:-2] + b"ff",
    "a later version": b"01" + HEADER[2:],
    "a later version with more": b"cc" + HEADER[2:] + b"-what-comes later",
    "a later version with a dash": b"fe" + HEADER[2:] + b"-",
}
WRONG = {
    "nothing": b"",
    "not sampled": HEADER[:-2] + b"00",
    "another flag alone": HEADER[:-2] + b"02",
    "no version": b"ff" + HEADER[2:],
    "version 00 with more": HEADER + b"-more",
    "version 00 with a dash": HEADER + b"-",
    "a later version with more and no dash": b"01" + HEADER[2:] + b"more",
    "upper case in the trace": HEADER.upper(),
    "upper case in the flags": HEADER[:-2] + b"0B",
    "a trace of zeros": HEADER.replace(TRACE.encode(), b"0" * 32),
    "a span of zeros": HEADER.replace(SPAN.encode(), b"0" * 16),
    "a short trace": HEADER.replace(TRACE.encode(), TRACE.encode()[1:]),
    "a long span": HEADER.replace(SPAN.encode(), SPAN.encode() + b"0"),
    "no flags": HEADER[:-3],
    "one digit of flags": HEADER[:-1],
    "other separators": HEADER.replace(b"-", b"_"),
    "a space": b" " + HEADER,
    "a line break": HEADER + b"\n",
    "other digits": HEADER.replace(b"00f067", "٠٠f067".encode()),
    "no hex": HEADER.replace(b"4bf92f", b"4bg92f"),
    "two values": HEADER + b"," + HEADER,
}


@pytest.mark.parametrize("case", RIGHT)
def test_a_sampled_header_has_the_ids_of_trace_and_span(case):
    assert parse_traceparent(RIGHT[case]) == LABELS


@pytest.mark.parametrize("case", WRONG)
def test_a_header_that_is_wrong_or_not_sampled_has_none(case):
    assert parse_traceparent(WRONG[case]) is None


def parse_plainly(value: bytes) -> dict[str, str] | None:
    """Parse as the specification words it, without a pattern."""
    text = value.decode("latin-1")
    version, trace, span, flags, *more = f"{text}----".split("-")[:5]
    digits = set("0123456789abcdef")
    sizes = {2: version, 32: trace, 16: span}
    if len(flags) != 2 or any(len(part) != size or not digits >= set(part) for size, part in sizes.items()):
        return None
    is_whole = len(text) == 55 or (version != "00" and text[55] == "-")
    if not digits >= set(flags) or version == "ff" or not int(trace, 16) or not int(span, 16) or not is_whole:
        return None
    return {"trace_id": trace, "span_id": span} if int(flags, 16) % 2 else None


hexes = st.sampled_from("0123456789abcdef")


@settings(max_examples=examples(200))
@given(
    st.one_of(
        st.binary(max_size=70),
        st.builds(
            "{}-{}-{}-{}{}".format,
            st.one_of(st.just("00"), st.text(hexes, min_size=2, max_size=2)),
            st.text(hexes, min_size=31, max_size=33),
            st.text(hexes, min_size=15, max_size=17),
            st.text(hexes, min_size=1, max_size=3),
            st.sampled_from(["", "-", "-x", "x", "\n"]),
        ).map(str.encode),
        st.tuples(st.integers(0, 54), st.integers(0, 255)).map(
            lambda change: HEADER[: change[0]] + bytes([change[1]]) + HEADER[change[0] + 1 :]
        ),
    )
)
def test_any_value_is_parsed_as_the_specification_words_it(value):
    assert parse_traceparent(value) == parse_plainly(value)


def find_exemplars(registry):
    samples = (sample for family in registry.collect() for sample in family.samples)
    return {sample.name: dict(sample.exemplar.labels) for sample in samples if sample.exemplar}


def make_app(registry, *, fails=False):
    inner = Counter("inner", "I.", registry=registry, exemplars="traceparent", exist_ok=True)

    async def app(scope, receive, send):
        if fails:
            raise ValueError
        inner.inc()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    return app


async def call(app, *values):
    async def send(message):
        pass

    await app(make_scope(path="/", headers=[(b"host", b"x"), *((b"traceparent", one) for one in values)]), None, send)


@on_every_loop
async def test_all_metrics_of_a_request_have_the_trace_of_its_header(measured, registry):
    options = {"first_byte": True, "background": True, "on_loop": True, "client_totals": True}
    await call(measured(make_app(registry), exemplars="traceparent", **options), HEADER)
    assert find_exemplars(registry) == dict.fromkeys(
        [
            "inner_total",
            "http_server_request_duration_seconds_bucket",
            "http_server_time_to_first_byte_seconds_bucket",
            "http_server_background_duration_seconds_bucket",
            "http_server_on_loop_duration_seconds_bucket",
        ],
        LABELS,
    )


async def test_an_exception_has_the_trace_of_its_request(measured, registry):
    with pytest.raises(ValueError):  # noqa: PT011  # of the application
        await call(measured(make_app(registry, fails=True), exemplars="traceparent"), HEADER)
    assert find_exemplars(registry) == dict.fromkeys(
        ["http_server_exceptions_total", "http_server_request_duration_seconds_bucket"], LABELS
    )


async def test_a_metric_may_ask_where_the_middleware_does_not(measured, registry):
    await call(measured(make_app(registry)), HEADER)
    assert find_exemplars(registry) == {"inner_total": LABELS}


@pytest.mark.parametrize("values", [(), (b"no",), (HEADER, HEADER)])
async def test_a_request_without_one_valid_header_has_no_exemplar(values, measured, registry):
    await call(measured(make_app(registry), exemplars="traceparent"), *values)
    assert find_exemplars(registry) == {}
    assert registry.get_sample_value("inner_total") == 1


async def test_a_bound_label_route_does_not_hide_the_request_of_a_middleware_with_context_labels(measured, registry):
    inner = Counter("inner", "I.", registry=registry, exemplars="traceparent")

    async def app(scope, receive, send):
        bind_labels(route="mine")
        inner.inc()

    await call(measured(app, context_labels=["tenant"]), HEADER)
    assert find_exemplars(registry) == {"inner_total": LABELS}


@on_every_loop
async def test_a_task_that_outlives_its_request_has_its_trace(measured, registry):
    late = Counter("late", "L.", registry=registry, exemplars="traceparent")
    has_ended = anyio.Event()

    async def count():
        await has_ended.wait()
        late.inc()

    async with anyio.create_task_group() as tasks:

        async def app(scope, receive, send):
            tasks.start_soon(count)
            await make_app(registry)(scope, receive, send)

        await call(measured(app, exemplars="traceparent"), HEADER)
        has_ended.set()
    assert find_exemplars(registry)["late_total"] == LABELS


def test_a_context_variable_that_has_the_request_keeps_nothing_alive(measured, registry):
    current: ContextVar[object] = ContextVar("current")
    requests = []

    class Request:
        def __init__(self, send):
            self.send = send

    async def app(scope, receive, send):
        request = Request(send)
        requests.append(ref(request))
        current.set(request)
        await make_app(registry)(scope, receive, request.send)

    async def serve():
        await asyncio.create_task(call(measured(app, exemplars="traceparent"), HEADER))

    gc.disable()
    try:
        asyncio.run(serve())
        assert [one() for one in requests] == [None]
    finally:
        gc.enable()


@on_every_loop
async def test_each_of_many_requests_at_once_has_its_own_trace(measured, registry):
    inner = Counter("inner", "I.", context_labels=["route"], registry=registry, exemplars="traceparent")

    async def app(scope, receive, send):
        for _ in range(3):
            await anyio.sleep(0)
            inner.inc()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    async def send(message):
        await anyio.sleep(0)

    asgi = measured(app, exemplars="traceparent", route=lambda scope: scope["path"])
    traces = {f"/{number}": f"{number:032x}" for number in range(1, 21)}
    async with anyio.create_task_group() as tasks:
        for path, trace in traces.items():
            headers = [(b"traceparent", f"00-{trace}-{SPAN}-01".encode())]
            tasks.start_soon(asgi, make_scope(path=path, headers=headers), None, send)
    found = [
        (sample.labels["route"], sample.exemplar.labels["trace_id"])
        for family in registry.collect()
        for sample in family.samples
        if sample.exemplar
    ]
    assert sorted(found) == sorted([*traces.items()] * 2)  # of the counter and of the durations


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_a_function_sees_what_the_application_has_set_until_it_fails(kind, measured, registry):
    step = ContextVar("step", default="0")

    async def app(scope, receive, send):
        if kind == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"1", "more_body": True})
        else:
            await send({"type": "websocket.accept"})
        step.set("1")
        raise ValueError

    async def send(message):
        pass

    with pytest.raises(ValueError):  # noqa: PT011  # of the application
        await measured(app, exemplars=lambda: {"step": step.get()})(make_scope(type=kind, path="/"), None, send)
    found = find_exemplars(registry)
    assert [*found.values()] == [{"step": "1"}] * 2


async def test_a_second_middleware_follows_the_first_one_of_its_registry(measured, registry):
    measured(make_app(registry), exemplars="traceparent", background=True)
    await call(measured(make_app(registry), background=True), HEADER)
    names = ["request", "background"]
    expected = ["inner_total", *(f"http_server_{name}_duration_seconds_bucket" for name in names)]
    assert find_exemplars(registry) == dict.fromkeys(expected, LABELS)


def test_a_second_middleware_cannot_have_another_source(measured, registry):
    measured(make_app(registry))
    with pytest.raises(DuplicateMetricError, match="exemplars=None and not exemplars='traceparent'"):
        measured(make_app(registry), exemplars="traceparent")


def test_outside_of_requests_there_is_no_exemplar(registry):
    Counter("c", "C.", registry=registry, exemplars="traceparent").inc()
    assert find_exemplars(registry) == {}


ALONE = """
import sys
sys.modules["opentelemetry"] = None
from asyncmetrics import Counter
Counter("c", "C.", exemplars="traceparent").inc()
try:
    Counter("d", "D.", exemplars="trace")
except ImportError as error:
    print(error)
"""


def test_the_header_needs_no_opentelemetry_and_spans_do():
    ended = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=True)
    assert ended.stdout.startswith('exemplars="trace" needs opentelemetry-api')
