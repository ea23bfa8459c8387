"""structlog is measured: each event that its chain of processors lets pass, once, with any kind of bound logger."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

import asyncmetrics
from asyncmetrics import CollectorRegistry
from asyncmetrics.integrations.structlog import CountEvents
from tests.forks import run_forked

FILTERING = structlog.make_filtering_bound_logger(logging.INFO)
RENDERING = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
Counts = dict[tuple[str, ...], float]


@pytest.fixture
def measured(registry: CollectorRegistry) -> Iterator[None]:
    with asyncmetrics.instrument_all(only=["structlog"], registry=registry):
        yield


@pytest.fixture
def standard() -> Iterator[logging.Logger]:
    """A logger of logging for structlog to write to."""
    logger = logging.getLogger("till")
    logger.setLevel(logging.INFO)
    yield logger
    logger.setLevel(logging.NOTSET)


def wrap(
    wrapper_class: type | None = FILTERING, processors: Any = RENDERING, logger: Any = None, **context: Any
) -> Any:
    logger = structlog.ReturnLogger() if logger is None else logger
    return structlog.wrap_logger(logger, wrapper_class=wrapper_class, processors=processors, **context)


def log_an_exception(log: Any) -> None:
    try:
        raise KeyError
    except KeyError:
        log.exception("it failed")


@pytest.mark.usefixtures("measured")
class TestHook:
    @pytest.mark.parametrize("kind", [FILTERING, structlog.BoundLogger, structlog.stdlib.BoundLogger])
    def test_events_of_every_bound_logger_are_counted_by_the_level_of_the_method(self, kind, counted):
        log = wrap(kind, [structlog.processors.KeyValueRenderer()], logger=structlog.testing.CapturingLogger())
        for method in ("info", "warning", "warn", "error", "critical", "exception"):
            getattr(log, method)("x", exc_info=False)
        assert counted() == {("", "info"): 1, ("", "warning"): 2, ("", "error"): 2, ("", "critical"): 1}

    def test_a_level_below_that_of_the_bound_logger_is_not_counted(self, counted):
        wrap().debug("unseen")
        assert counted() == {}

    def test_a_method_of_the_application_is_of_no_level(self, counted):
        wrap(structlog.BoundLogger, logger=structlog.testing.CapturingLogger()).celebrate("x")
        assert counted() == {("", "_OTHER"): 1}

    def test_an_event_that_a_processor_drops_is_not_counted(self, counted):
        def drop(*_: object) -> None:
            raise structlog.DropEvent

        wrap(processors=[drop]).error("unseen")
        assert counted() == {}

    def test_an_error_of_a_processor_is_raised_and_not_counted(self, counted):
        def fail(*_: object) -> None:
            raise LookupError("of the processor")

        with pytest.raises(LookupError, match="of the processor"):
            wrap(processors=[fail]).error("unseen")
        assert counted() == {}

    def test_what_the_call_returns_stays(self):
        assert wrap().info("x", a=1) == '{"a": 1, "event": "x"}'

    def test_the_key_logger_names_the_logger(self, counted):
        wrap(logger=structlog.ReturnLogger()).bind(logger="bound").info("x")
        wrap().info("x", logger="of the event")
        wrap().info("x", logger=object.__new__)
        assert counted() == {("bound", "info"): 1, ("of the event", "info"): 1, ("", "info"): 1}

    def test_else_the_wrapped_logger_names_it(self, standard, counted):
        log = wrap(structlog.stdlib.BoundLogger, RENDERING, standard)
        log.info("x")
        log.info("x", logger=["no text"])
        assert counted() == {("till", "info"): 2}

    def test_a_cached_logger_is_counted(self, counted):
        log = structlog.wrap_logger(
            structlog.ReturnLogger(), wrapper_class=FILTERING, processors=RENDERING, cache_logger_on_first_use=True
        )
        for _ in range(3):
            log.info("x")
        assert counted() == {("", "info"): 3}

    @pytest.mark.blocking
    @pytest.mark.parametrize("kind", [FILTERING, structlog.stdlib.BoundLogger])
    def test_async_methods_are_counted_also_on_a_second_loop(self, kind, counted, failures):
        log = wrap(kind, [structlog.processors.KeyValueRenderer()], logger=structlog.testing.CapturingLogger())

        async def main() -> None:
            await log.ainfo("x")
            try:
                raise KeyError
            except KeyError:
                await log.aexception("it failed")

        asyncio.run(main())
        asyncio.run(main())
        assert counted() == {("", "info"): 2, ("", "error"): 2}
        assert failures() == {("", "KeyError"): 2}

    def test_exceptions_are_counted_by_type_in_every_form(self, failures, samples):
        log = wrap()
        log_an_exception(log)
        log.error("x", exc_info=ValueError())
        log.error("x", exc_info=(TypeError, TypeError(), None))
        log.error("none was raised", exc_info=True)  # noqa: LOG014  # on purpose
        assert failures() == {("", "KeyError"): 1, ("", "ValueError"): 1, ("", "TypeError"): 1}
        assert samples("asyncmetrics_internal_errors_total") == {}

    def test_a_child_process_goes_on_counting(self, counted):
        log = wrap()
        log.info("parent")

        def count() -> None:
            log.info("child")
            assert counted() == {("", "info"): 2}

        run_forked(count)

    def test_a_failure_costs_a_measurement_and_no_call(self, counted, samples):
        class Strange(structlog.ReturnLogger):
            @property
            def name(self) -> str:
                raise LookupError

        assert wrap(logger=Strange()).info("x") == '{"event": "x"}'
        assert counted() == {}
        assert samples("asyncmetrics_internal_errors_total", "where") == {("integrations.structlog",): 1}


CHAINS = {
    "rendered": RENDERING,
    "passed on": [structlog.stdlib.render_to_log_kwargs],
    "for a formatter": [structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
}


@pytest.mark.parametrize("libraries", [["structlog"], ["logging"], ["logging", "structlog"], ["structlog", "logging"]])
@pytest.mark.parametrize("chain", CHAINS)
def test_an_event_that_goes_to_logging_counts_once(libraries, chain, registry, standard, counted, failures):
    log = wrap(structlog.stdlib.BoundLogger, CHAINS[chain], standard)
    with asyncmetrics.instrument_all(only=libraries, registry=registry):
        log.info("x")
        log_an_exception(log)
    assert counted() == {("till", "info"): 1, ("till", "error"): 1}
    assert failures() == {("till", "KeyError"): 1}


@pytest.mark.parametrize("chain", CHAINS)
def test_an_exception_that_logging_cannot_see_is_counted_once(chain, registry, standard, failures):
    """``log.error`` passes it on in the form that the chain gives it."""
    log = wrap(structlog.stdlib.BoundLogger, CHAINS[chain], standard)
    with asyncmetrics.instrument_all(only=["logging", "structlog"], registry=registry):
        log.error("x", exc_info=ValueError())
        log.debug("below the level", exc_info=ValueError())
    assert failures() == {("till", "ValueError"): 1}


def test_an_exception_that_is_logged_in_another_thread_is_counted_once(registry, standard, failures):
    chain = [structlog.stdlib.ProcessorFormatter.wrap_for_formatter]
    log = wrap(structlog.stdlib.BoundLogger, chain, standard)

    async def main():
        try:
            raise KeyError
        except KeyError:
            await log.aexception("x")

    with asyncmetrics.instrument_all(only=["logging", "structlog"], registry=registry):
        asyncio.run(main())
    assert failures() == {("till", "KeyError"): 1}


def test_what_logging_drops_is_not_counted_where_logging_is_measured(registry, standard, counted):
    with asyncmetrics.instrument_all(only=["logging", "structlog"], registry=registry):
        wrap(structlog.stdlib.BoundLogger, RENDERING, standard).debug("below the level")
    assert counted() == {}


class TestProcessor:
    def test_it_counts_events_and_exceptions(self, registry, counted, failures):
        log = wrap(processors=[CountEvents(registry=registry), *RENDERING])
        log.bind(logger="shop").info("x")
        log_an_exception(log)
        assert counted() == {("shop", "info"): 1, ("", "error"): 1}
        assert failures() == {("", "KeyError"): 1}

    def test_it_returns_the_event_as_it_is(self, registry):
        event = {"event": "x", "logger": "shop"}
        assert CountEvents(registry=registry)(None, "info", event) is event
        assert event == {"event": "x", "logger": "shop"}

    def test_it_declares_nothing_before_the_first_event(self, registry):
        CountEvents(registry=registry)
        assert not [family.name for family in registry.collect() if family.name.startswith("log_")]

    def test_beside_the_hook_it_counts_alone(self, registry, counted):
        own = CollectorRegistry()
        with asyncmetrics.instrument_all(only=["structlog"], registry=registry):
            wrap(processors=[CountEvents(registry=own), *RENDERING]).info("x")
            wrap().error("without it")
        assert counted() == {("", "error"): 1}
        assert own.get_sample_value("log_records_total", {"logger": "", "level": "info"}) == 1

    def test_where_logging_is_measured_logging_counts(self, registry, standard, counted):
        log = wrap(structlog.stdlib.BoundLogger, [CountEvents(registry=registry), *RENDERING], standard)
        with asyncmetrics.instrument_all(only=["logging"], registry=registry):
            log.info("x")
        assert counted() == {("till", "info"): 1}

    def test_a_formatter_that_runs_it_once_more_counts_nothing(self, registry, standard, counted):
        count = CountEvents(registry=registry)
        handler = logging.StreamHandler(stream := io.StringIO())
        chain = [count, structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()]
        handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=chain, foreign_pre_chain=[count]))
        standard.addHandler(handler)
        standard.error("of logging")
        standard.removeHandler(handler)
        assert "of logging" in stream.getvalue()
        assert counted() == {}

    def test_its_names_have_a_prefix(self, registry):
        wrap(processors=[CountEvents(registry=registry, namespace="till"), *RENDERING]).info("x")
        assert registry.get_sample_value("till_log_records_total", {"logger": "", "level": "info"}) == 1

    def test_an_unknown_option_is_refused(self):
        with pytest.raises(TypeError, match="prefix"):
            CountEvents(prefix="till")

    def test_a_failure_costs_a_measurement_and_no_call(self, registry, samples):
        count = CountEvents(registry=registry)
        assert count(None, ["no", "text"], {"event": "x"}) == {"event": "x"}
        assert samples("asyncmetrics_internal_errors_total", "where") == {("integrations.structlog",): 1}


def test_nothing_is_left_behind(registry):
    before = dict(vars(structlog.BoundLoggerBase))
    with asyncmetrics.instrument_all(only=["structlog"], registry=registry):
        assert dict(vars(structlog.BoundLoggerBase)) != before
    assert dict(vars(structlog.BoundLoggerBase)) == before
