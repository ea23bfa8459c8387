"""loguru is measured: each record that passes the level of a sink, once, whatever becomes of sinks and patchers."""

from __future__ import annotations

import copy
import inspect
import logging
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from loguru import logger

import asyncmetrics
from asyncmetrics import CollectorRegistry
from tests.forks import run_forked
from tests.growth import count_objects, find_growth
from tests.patience import PATIENCE_SECONDS

Counts = dict[tuple[str, ...], float]
NAME = __name__


@pytest.fixture(autouse=True)
def lines() -> Iterator[list[str]]:
    """The lines of the only sink, which takes what is at least INFO. The patcher of a test is removed."""
    lines: list[str] = []
    patcher = logger._core.patcher
    logger.remove()
    logger.add(lines.append, format="{name}:{function} {message}", level="INFO")
    yield lines
    logger.remove()
    logger._core.patcher = patcher


@pytest.fixture
def measured(registry: CollectorRegistry) -> Iterator[None]:
    with asyncmetrics.instrument_all(only=["loguru"], registry=registry):
        yield


def fail(error: BaseException) -> None:
    raise error


@pytest.mark.usefixtures("measured")
class TestRecords:
    def test_each_level_is_counted_by_module(self, counted):
        logger.info("one")
        logger.success("two")
        logger.warning("three {}", 3)
        logger.error("four")
        logger.critical("five")
        levels = {"info": 2, "warning": 1, "error": 1, "critical": 1}
        assert counted() == {(NAME, level): count for level, count in levels.items()}

    def test_levels_of_the_application_are_bounded(self, counted):
        for number in (21, 38, 55):
            logger.log(number, "x")
        assert counted() == {(NAME, "info"): 1, (NAME, "warning"): 1, (NAME, "critical"): 1}

    def test_a_record_below_the_level_of_every_sink_is_not_counted(self, counted):
        logger.debug("unseen")
        assert counted() == {}

    def test_a_record_of_a_disabled_module_is_not_counted(self, counted):
        logger.disable(NAME)
        logger.error("unseen")
        logger.enable(NAME)
        assert counted() == {}

    def test_several_sinks_count_a_record_once(self, counted):
        logger.add(lambda message: None)
        logger.error("x")
        assert counted() == {(NAME, "error"): 1}

    def test_a_sink_in_a_thread_of_its_own_counts_a_record_once(self, counted):
        logger.remove()
        logger.add(lambda message: None, enqueue=True)
        logger.error("x")
        logger.complete()
        assert counted() == {(NAME, "error"): 1}

    def test_the_line_says_where_the_call_was(self, lines):
        logger.error("here")
        assert lines == [f"{NAME}:test_the_line_says_where_the_call_was here\n"]

    def test_bound_and_copied_loggers_are_counted(self, counted):
        logger.remove()
        twin = copy.deepcopy(logger)  # sinks of its own
        twin.add(lambda message: None)
        logger.add(lambda message: None)
        for one in (logger.bind(a=1), logger.opt(lazy=True), logger.patch(lambda record: None), twin):
            one.error("x")
        assert counted() == {(NAME, "error"): 4}

    def test_records_of_all_threads_are_counted(self, counted):
        threads = [threading.Thread(target=lambda: [logger.info("x") for _ in range(100)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        assert counted() == {(NAME, "info"): 400}

    def test_a_child_process_goes_on_counting(self, counted):
        logger.info("parent")

        def count() -> None:
            logger.info("child")
            assert counted() == {(NAME, "info"): 2}

        run_forked(count)

    def test_objects_do_not_grow(self):
        logger.remove()
        logger.add(lambda message: None)

        def work() -> int:
            for _ in range(300):
                logger.opt(exception=ValueError("x")).error("x")
            return count_objects()

        work()
        assert find_growth([work() for _ in range(4)]) < 30


@pytest.mark.usefixtures("measured")
class TestExceptions:
    def test_exceptions_are_counted_by_type_in_every_form(self, failures):
        try:
            fail(KeyError("x"))
        except KeyError:
            logger.exception("it failed")
        logger.opt(exception=ValueError()).error("x")
        with logger.catch(message="caught"):
            fail(TypeError())
        assert failures() == {(NAME, kind): 1 for kind in ("KeyError", "ValueError", "TypeError")}

    def test_a_decorated_function_counts_what_is_caught(self, failures, counted):
        logger.catch(fail)(LookupError())
        assert failures() == {(NAME, "LookupError"): 1}
        assert counted() == {(NAME, "error"): 1}

    def test_without_an_exception_none_is_counted(self, failures, samples):
        logger.opt(exception=True).error("none was raised")
        logger.error("plain")
        assert failures() == samples("asyncmetrics_internal_errors_total") == {}


@pytest.mark.usefixtures("measured")
class TestPatcher:
    def test_it_survives_the_removal_of_all_sinks(self, counted):
        logger.remove()
        logger.add(lambda message: None)
        logger.error("x")
        assert counted() == {(NAME, "error"): 1}

    def test_it_survives_a_new_configuration_with_a_patcher(self, counted):
        patched: list[Any] = []
        logger.configure(handlers=[{"sink": lambda message: None}], patcher=patched.append)
        logger.error("x")
        assert (len(patched), counted()) == (1, {(NAME, "error"): 1})

    def test_an_error_of_the_patcher_of_the_application_is_raised(self):
        logger.configure(patcher=lambda record: fail(LookupError("of the patcher")))
        with pytest.raises(LookupError, match="of the patcher"):
            logger.error("x")

    def test_a_logger_is_pickled_without_it(self):
        logger.remove()
        assert pickle.loads(pickle.dumps(logger))._core.patcher is None

    def test_a_failure_costs_a_measurement_and_no_call(self, counted, samples, lines):
        class Strange(str):
            __slots__ = ()

            def startswith(self, *_: object) -> bool:
                raise LookupError

        exec("logger.error('x')", {"__name__": Strange("odd"), "logger": logger})  # noqa: S102  # a module of this name
        assert lines == ["odd:<module> x\n"]
        assert counted() == {}
        assert samples("asyncmetrics_internal_errors_total", "where") == {("integrations.loguru",): 1}


class TestUndo:
    def test_nothing_is_left_behind(self, registry):
        kind, core = type(logger), logger._core
        before, patcher = dict(vars(kind)), core.patcher
        with asyncmetrics.instrument_all(only=["loguru", "logging"], registry=registry):
            assert (dict(vars(kind)), core.patcher) != (before, patcher)
        assert (dict(vars(kind)), core.patcher) == (before, patcher)

    def test_the_patcher_of_the_application_is_restored(self, registry):
        def patch(record: Any) -> None:
            record["extra"]["patched"] = True

        logger.configure(patcher=patch)
        with asyncmetrics.instrument_all(only=["loguru"], registry=registry):
            logger.error("x")
        assert logger._core.patcher is patch

    def test_a_patcher_that_came_later_goes_on_without_counting(self, registry, counted):
        measured = asyncmetrics.instrument_all(only=["loguru"], registry=registry)
        inner, seen = logger._core.patcher, []
        logger._core.patcher = lambda record: (seen.append(record), inner(record))
        measured.undo()
        logger.error("x")
        assert (len(seen), counted()) == (1, {})
        with asyncmetrics.instrument_all(only=["loguru"], registry=registry):
            logger.error("y")
        assert (len(seen), counted()) == (2, {(NAME, "error"): 1})


class Intercepting(logging.Handler):
    """Passes records of logging on to loguru, as loguru's documentation has it."""

    def emit(self, record: logging.LogRecord) -> None:
        frame, depth = inspect.currentframe(), 0
        while frame and (depth == 0 or frame.f_code.co_filename == logging.__file__):
            frame = frame.f_back
            depth += 1
        logger.opt(depth=depth, exception=record.exc_info).log(record.levelname, record.getMessage())


class Propagating(logging.Handler):
    """Passes records of loguru on to logging, as loguru's documentation has it."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger(record.name).handle(record)


class TestBesideLogging:
    @pytest.fixture
    def shop(self) -> Iterator[logging.Logger]:
        shop = logging.getLogger("shop")
        handler = Intercepting()
        shop.addHandler(handler)
        yield shop
        shop.removeHandler(handler)

    @pytest.mark.parametrize("libraries", [["logging", "loguru"], ["loguru", "logging"], ["logging"]])
    def test_a_record_that_logging_passes_on_counts_as_one_of_logging(
        self, libraries, registry, shop, counted, failures, lines
    ):
        with asyncmetrics.instrument_all(only=libraries, registry=registry):
            shop.error("x", exc_info=KeyError())
        assert counted() == {("shop", "error"): 1}
        assert failures() == {("shop", "KeyError"): 1}
        assert lines[0].startswith(f"{NAME}:test_a_record_that_logging_passes_on_counts_as_one_of_logging x")

    def test_where_logging_is_not_measured_loguru_counts_it(self, registry, shop, counted):
        with asyncmetrics.instrument_all(only=["loguru"], registry=registry):
            shop.error("x")
        assert counted() == {(NAME, "error"): 1}

    def test_where_its_logger_alone_is_measured_it_counts_as_one_of_logging(self, registry, shop, counted):
        asyncmetrics.instrument(shop, registry=registry)
        with asyncmetrics.instrument_all(only=["loguru"], registry=registry):
            shop.error("x")
        asyncmetrics.uninstrument(shop)
        assert counted() == {("shop", "error"): 1}

    def test_where_another_logger_is_measured_loguru_counts_it(self, registry, shop, counted):
        other = asyncmetrics.instrument(logging.getLogger("other"), registry=registry)
        with asyncmetrics.instrument_all(only=["loguru"], registry=registry):
            shop.error("x")
        asyncmetrics.uninstrument(other)
        assert counted() == {(NAME, "error"): 1}

    def test_a_record_of_loguru_itself_counts_beside_them(self, registry, counted):
        with asyncmetrics.instrument_all(only=["logging", "loguru"], registry=registry):
            logger.error("x")
        assert counted() == {(NAME, "error"): 1}

    @pytest.mark.parametrize("enqueue", [False, True])
    def test_a_record_that_loguru_passes_on_counts_once(self, enqueue, registry, counted):
        logger.remove()
        logger.add(Propagating(), enqueue=enqueue)
        with asyncmetrics.instrument_all(only=["logging", "loguru"], registry=registry):
            logger.error("x")
            logger.complete()
        assert counted() == {(NAME, "error"): 1}

    def test_a_record_with_an_attribute_extra_is_counted(self, registry, counted):
        with asyncmetrics.instrument_all(only=["logging", "loguru"], registry=registry):
            logging.getLogger("till").error("x", extra={"extra": {}})
        assert counted() == {("till", "error"): 1}
