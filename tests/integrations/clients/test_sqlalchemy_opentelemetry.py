"""OpenTelemetry's instrumentation of SQLAlchemy beside ours: each statement is one span and one operation."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
import sqlalchemy
from sqlalchemy import text

import asyncmetrics

pytest.importorskip("opentelemetry.sdk")
pytest.importorskip("opentelemetry.instrumentation.sqlalchemy")

from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor  # noqa: E402
from opentelemetry.sdk.trace import TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: E402


@pytest.fixture
def spans():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider, lambda: sum(span.name.startswith("SELECT") for span in exporter.get_finished_spans())
    provider.shutdown()


@pytest.fixture
def counted(samples):
    return lambda: sum(samples("db_client_operation_duration_seconds_count", "operation").values())


def install_theirs(stack, provider, _):
    """Instrument the functions that make engines, for as long as the stack is open."""
    instrumentor = SQLAlchemyInstrumentor()
    # It refuses SQLAlchemy 2.1 by its number alone.
    instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
    stack.callback(instrumentor.uninstrument)


def install_ours(stack, _, registry):
    stack.enter_context(asyncmetrics.instrument_all(only=["sqlalchemy"], registry=registry))


@pytest.mark.parametrize("order", [(install_theirs, install_ours), (install_ours, install_theirs)], ids=["in", "out"])
@pytest.mark.parametrize("removed", [0, 1])
def test_each_order_of_installing_and_removing_loses_no_span_and_counts_once(registry, spans, counted, order, removed):
    provider, count_spans = spans

    def select(engine):
        with engine.connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar() == 1

    stacks = [ExitStack(), ExitStack()]
    for stack, install in zip(stacks, order, strict=True):
        install(stack, provider, registry)
    engine = sqlalchemy.create_engine("sqlite://")
    select(engine)
    assert (count_spans(), counted()) == (1, 1)
    stacks[removed].close()
    select(engine)
    is_theirs_removed = order[removed] is install_theirs
    assert (count_spans(), counted()) == ((1, 2) if is_theirs_removed else (2, 1))
    stacks[1 - removed].close()
    select(engine)
    assert (count_spans(), counted()) == ((1, 2) if is_theirs_removed else (2, 1))
    engine.dispose()
