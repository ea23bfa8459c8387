"""Python's logging is measured: each record that handlers get counts once, whatever factories and filters there are."""

from __future__ import annotations

import logging
import logging.handlers
import queue
import threading
from collections.abc import Iterator

import pytest

import asyncmetrics
from asyncmetrics import CollectorRegistry
from asyncmetrics.children.table import ChildTable
from asyncmetrics.integrations.log_records import find_level
from asyncmetrics.storage import MemoryStorage
from tests.forks import run_forked
from tests.growth import count_objects, find_growth
from tests.patience import PATIENCE_SECONDS


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger of the test's own, whose records no handler of pytest gets."""
    logger = logging.getLogger("shop.orders")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(logging.NullHandler())
    yield logger
    logger.handlers.clear()
    logger.filters.clear()
    logger.disabled = False
    logger.setLevel(logging.NOTSET)
    logger.propagate = True


@pytest.fixture
def measured(registry: CollectorRegistry) -> Iterator[None]:
    with asyncmetrics.instrument_all(only=["logging"], registry=registry):
        yield


def fail(error: BaseException) -> None:
    raise error


@pytest.mark.usefixtures("measured")
class TestRecords:
    def test_each_level_is_counted_by_logger(self, logger, counted):
        logger.info("one")
        logger.warning("two %s", 2)
        logger.error("three")
        logger.critical("four")
        logging.LoggerAdapter(logger, {}).error("five")
        levels = {"info": 1, "warning": 1, "error": 2, "critical": 1}
        assert counted() == {("shop.orders", level): count for level, count in levels.items()}

    def test_a_record_below_the_level_is_not_counted(self, logger, counted):
        logger.debug("unseen")
        assert counted() == {}

    def test_a_record_of_a_disabled_logger_is_not_counted(self, logger, counted):
        logger.disabled = True
        logger.error("unseen")
        assert counted() == {}

    def test_a_record_that_the_filter_of_the_logger_rejects_is_not_counted(self, logger, counted):
        logger.addFilter(lambda record: "secret" not in record.msg)
        logger.error("secret")
        logger.error("seen")
        assert counted() == {("shop.orders", "error"): 1}

    def test_a_record_that_the_filter_of_a_handler_rejects_is_counted(self, logger, counted):
        logger.handlers[0].addFilter(lambda record: False)
        logger.error("seen by no handler")
        assert counted() == {("shop.orders", "error"): 1}

    def test_a_record_that_several_handlers_get_is_counted_once(self, logger, counted):
        logger.addHandler(logging.NullHandler())
        logger.error("twice")
        assert counted() == {("shop.orders", "error"): 1}

    def test_a_record_from_another_process_is_counted_where_it_is_handled(self, logger, counted):
        received = logging.makeLogRecord({"name": "till", "levelno": logging.ERROR, "process": 1})
        logger.handle(received)
        assert counted() == {("till", "error"): 1}

    def test_a_queue_of_handlers_counts_a_record_once(self, logger, counted):
        records: queue.Queue[logging.LogRecord] = queue.Queue()
        logger.addHandler(logging.handlers.QueueHandler(records))
        listener = logging.handlers.QueueListener(records, logging.NullHandler())
        listener.start()
        logger.error("queued")
        listener.stop()
        assert counted() == {("shop.orders", "error"): 1}

    def test_a_factory_that_is_set_later_changes_nothing(self, logger, counted, monkeypatch):
        monkeypatch.setattr(logging, "_logRecordFactory", logging.getLogRecordFactory())
        logging.setLogRecordFactory(type("Record", (logging.LogRecord,), {}))
        logger.error("made by it")
        assert counted() == {("shop.orders", "error"): 1}

    def test_a_logger_that_makes_its_own_records_is_counted(self, counted):
        class Own(logging.Logger):
            def makeRecord(self, *args, **kwargs):
                return logging.makeLogRecord({"name": "own", "levelno": 30})

        Own("own").warning("made")
        assert counted() == {("own", "warning"): 1}

    def test_handlers_find_the_caller_of_the_log_call_next_to_logging(self, logger):
        """As handlers do that pass records on to loguru."""
        found = []

        class Looking(logging.Handler):
            def emit(self, record):
                frame = logging.currentframe().f_back
                while frame and frame.f_code.co_filename == logging.__file__:
                    frame = frame.f_back
                found.append(frame.f_code.co_name)

        logger.addHandler(Looking())
        logger.error("here")
        assert found == ["test_handlers_find_the_caller_of_the_log_call_next_to_logging"]

    def test_records_of_all_threads_are_counted(self, logger, counted):
        threads = [threading.Thread(target=lambda: [logger.info("x") for _ in range(200)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        assert counted() == {("shop.orders", "info"): 800}

    def test_a_child_process_goes_on_counting(self, logger, counted):
        logger.info("parent")

        def count() -> None:
            logger.info("child")
            assert counted() == {("shop.orders", "info"): 2}

        run_forked(count)
        assert counted() == {("shop.orders", "info"): 1}

    def test_objects_do_not_grow(self, logger):
        logger.handlers[:] = [logging.NullHandler()]  # pytest has added one that keeps all records

        def work() -> int:
            for _ in range(300):
                logger.error("x", exc_info=ValueError("x"))
            return count_objects()

        work()
        assert find_growth([work() for _ in range(4)]) < 30

    def test_the_records_of_asyncmetrics_itself_are_counted(self, counted):
        for _ in range(2):
            logging.getLogger("asyncmetrics").warning("of ours")
        assert counted() == {("asyncmetrics", "warning"): 2}


@pytest.mark.usefixtures("measured")
class TestExceptions:
    def test_an_exception_is_counted_by_its_type(self, logger, failures, counted):
        try:
            fail(KeyError("x"))
        except KeyError:
            logger.exception("it failed")
        logger.warning("again", exc_info=TimeoutError())
        assert failures() == {("shop.orders", "KeyError"): 1, ("shop.orders", "TimeoutError"): 1}
        assert counted() == {("shop.orders", "error"): 1, ("shop.orders", "warning"): 1}

    def test_without_an_exception_none_is_counted(self, logger, failures, samples):
        logger.error("nothing was raised", exc_info=True)  # noqa: LOG014  # on purpose
        logger.error("plain")
        assert failures() == samples("asyncmetrics_internal_errors_total") == {}

    @pytest.mark.skipif("sys.version_info < (3, 11)", reason="groups of exceptions")
    def test_a_group_is_counted_as_a_group(self, logger, failures):
        logger.error("all", exc_info=ExceptionGroup("all", [KeyError(), ValueError()]))  # noqa: F821
        assert failures() == {("shop.orders", "ExceptionGroup"): 1}


@pytest.mark.parametrize(
    ("number", "level"),
    [
        (0, "debug"),
        (5, "debug"),
        (10, "debug"),
        (19, "debug"),
        (20, "info"),
        (25, "info"),
        (30, "warning"),
        (35.5, "warning"),
        (40, "error"),
        (50, "critical"),
        (1000, "critical"),
        (-1, "debug"),
        ("high", "_OTHER"),
        (None, "_OTHER"),
    ],
)
def test_a_level_is_the_standard_level_at_or_below_it(number, level):
    assert find_level(number) == level


class TestOneLogger:
    def test_a_logger_is_measured_with_those_below_it_and_no_other(self, logger, registry, counted):
        asyncmetrics.instrument(logging.getLogger("shop"), registry=registry)
        logger.error("below")
        logging.getLogger("shop").error("itself")
        logging.getLogger("shopping").error("beside")
        logging.getLogger().error("above")
        asyncmetrics.uninstrument(logging.getLogger("shop"))
        logger.error("no more")
        assert counted() == {("shop.orders", "error"): 1, ("shop", "error"): 1}

    def test_its_own_metrics_win_over_those_of_all_loggers(self, logger, registry, counted):
        own = CollectorRegistry()
        with asyncmetrics.instrument_all(only=["logging"], registry=registry):
            asyncmetrics.instrument(logger, registry=own)
            logger.error("its own")
            logging.getLogger("beside").error("of all")
            asyncmetrics.uninstrument(logger)
        assert counted() == {("beside", "error"): 1}
        assert own.get_sample_value("log_records_total", {"logger": "shop.orders", "level": "error"}) == 1

    def test_the_root_logger_is_all_loggers(self, logger, registry, counted):
        asyncmetrics.instrument(logging.getLogger(), registry=registry)
        logger.error("below")
        asyncmetrics.uninstrument(logging.getLogger())
        assert counted() == {("shop.orders", "error"): 1}

    def test_names_have_a_prefix_and_labels_of_opentelemetry(self, logger, registry):
        asyncmetrics.instrument(logger, registry=registry, namespace="till", conventions="opentelemetry")
        logger.error("x", exc_info=ValueError())
        asyncmetrics.uninstrument(logger)
        assert registry.get_sample_value("till_log_records_total", {"logger": "shop.orders", "level": "error"}) == 1
        labels = {"logger": "shop.orders", "error_type": "ValueError"}
        assert registry.get_sample_value("till_log_exceptions_total", labels) == 1


class TestUndo:
    def test_nothing_is_left_behind(self, registry, logger):
        before = set(vars(logging.Logger))
        with asyncmetrics.instrument_all(only=["logging"], registry=registry):
            assert set(vars(logging.Logger)) != before
        asyncmetrics.instrument(logger, registry=registry)
        asyncmetrics.uninstrument(logger)
        assert set(vars(logging.Logger)) == before
        assert logging.Logger.filter is logging.Filterer.filter

    def test_a_wrapper_that_came_later_goes_on_without_counting(self, registry, logger, counted, monkeypatch):
        seen = []
        measured = asyncmetrics.instrument_all(only=["logging"], registry=registry)
        inner = logging.Logger.filter
        monkeypatch.setattr(logging.Logger, "filter", lambda self, record: seen.append(record) or inner(self, record))
        measured.undo()
        logger.error("x")
        assert (len(seen), counted()) == (1, {})
        with asyncmetrics.instrument_all(only=["logging"], registry=registry):
            logger.error("y")
        assert counted() == {("shop.orders", "error"): 1}
        monkeypatch.undo()  # the wrapper of ours that was below it
        del logging.Logger.filter


class TestFaults:
    @pytest.mark.usefixtures("measured")
    def test_a_record_of_a_strange_name_costs_a_measurement_and_no_call(self, logger, counted, samples):
        """And no record of ours: it would fail in the same way."""
        handled = []
        logger.addHandler(type("Keeping", (logging.Handler,), {"emit": lambda self, record: handled.append(record)})())
        logger.handle(logging.makeLogRecord({"name": ["not", "hashable"], "levelno": 40}))
        assert len(handled) == 1
        assert counted() == {}
        assert samples("asyncmetrics_internal_errors_total", "where") == {("integrations.logging",): 1}

    @pytest.mark.usefixtures("measured")
    def test_more_loggers_than_the_limit_share_one_series(self, registry, counted):
        for number in range(5010):
            logging.Logger(f"generated-{number}").error("x")  # noqa: LOG001  # one that is not kept
        found = counted()
        assert len(found) == 5001
        assert found["__overflow__", "__overflow__"] == 10

    def test_a_registry_that_logs_at_each_new_series_counts_its_record_and_no_more(self, logger):
        """As that of workers does whose disk is full."""
        registry = CollectorRegistry(storage=LoggingStorage())
        with asyncmetrics.instrument_all(only=["logging"], registry=registry):
            logger.error("x")
        assert LoggingTable.logged == 2
        for labels in ({"logger": "shop.orders", "level": "error"}, {"logger": "asyncmetrics", "level": "warning"}):
            assert registry.get_sample_value("log_records_total", labels) == 1


class LoggingTable(ChildTable):
    """Logs each time that it looks for a child that it may not have."""

    logged = 0

    def make_key(self, values):
        if self.descriptor.name == "log_records":
            LoggingTable.logged += 1
            logging.getLogger("asyncmetrics").warning("the disk is full")
        return super().make_key(values)


class LoggingStorage(MemoryStorage):
    def open(self, descriptor, events, **options):
        return LoggingTable(descriptor, self.choose_child_class(descriptor), events, **options)
