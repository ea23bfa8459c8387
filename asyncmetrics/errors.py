"""The exceptions of asyncmetrics, each also the builtin that it means.

::

    MetricsError
    ├── DefinitionError (ValueError)         a wrong declaration of a metric: name, labels, buckets, states
    ├── DuplicateMetricError (ValueError)    a name that the registry already has
    ├── UnknownCollectorError (KeyError)     unregistering a collector that is not registered
    ├── LabelError (ValueError)              labels that do not fit the metric
    ├── AmountError (ValueError)             a number that the metric does not accept
    │   └── ExemplarError                    an exemplar that OpenMetrics does not allow
    ├── AmountTypeError (TypeError)          an amount that is not a number
    ├── CallbackTypeError (TypeError)        a collector or gauge function that cannot be called
    ├── CollectorError (RuntimeError)        a failed collector, if the caller asks for ``on_error="fail"``
    ├── LoopError (RuntimeError)             an event loop that cannot run what belongs to it
    ├── ParseError (ValueError)              an exposition that breaks the rules of its format
    ├── TextfileError (OSError)              a textfile that cannot be written
    ├── PushError (OSError)                  a push gateway that cannot be reached, or that refuses
    ├── ScrapeError (OSError)                a URL whose metrics cannot be read
    ├── SourceError (OSError)                a file or a registry whose metrics cannot be read
    ├── StorageError (OSError)               a directory for shared metrics that cannot be used
    ├── InstallationError (ImportError)      a library that cannot be replaced, as it is loaded already
    └── MissingExtraError (ImportError)      an optional part whose packages are not installed
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable

__all__ = (
    "EXTRAS",
    "AmountError",
    "AmountTypeError",
    "CallbackTypeError",
    "CollectorError",
    "DefinitionError",
    "DuplicateMetricError",
    "ExemplarError",
    "InstallationError",
    "LabelError",
    "LoopError",
    "MetricsError",
    "MissingExtraError",
    "ParseError",
    "PushError",
    "ScrapeError",
    "SourceError",
    "StorageError",
    "TextfileError",
    "UnknownCollectorError",
    "is_cancellation",
    "shorten",
    "show",
    "show_text",
    "suggest",
)

EXTRAS: dict[str, tuple[str, ...]] = {
    "starlette": ("starlette>=0.41",),
    "fastapi": ("fastapi>=0.115",),
    "litestar": ("litestar>=2.13",),
    "django": ("django>=4.2",),
    "quart": ("quart>=0.19",),
    "server": ("uvicorn>=0.30",),
    "push": ("httpx>=0.27", "cramjam>=2.8"),
    "prometheus-client": ("prometheus_client>=0.22",),
    "opentelemetry": ("opentelemetry-api>=1.28",),
    "statsd": ("PyYAML>=6",),
    "cli": ("rich>=13", "tomli>=2; python_version < '3.11'"),
}
"""The requirements of each extra, as pyproject.toml has them: a clone that is not installed has no metadata to read."""

_LONGEST_VALUE = 200  # characters of a value in a message
_LONGEST_TEXT = 1000  # characters of any other text in it: messages are logged, and a scraped line may have megabytes
_WIDEST_INT = 4096  # bits of an int that is written out: the time of `repr` grows with their square


def shorten(text: str, longest: int = _LONGEST_TEXT) -> str:
    """Return ``text`` for a message; of a text longer than ``longest`` characters, its beginning and its end."""
    return text if len(text) <= longest else f"{text[: longest // 2]}…{text[-longest // 2 :]}"


def show(value: object) -> str:
    """Return the `repr` of ``value`` for a message, shortened. Never raises."""
    if isinstance(value, int) and value.bit_length() > _WIDEST_INT:
        return f"an int of {value.bit_length()} bits"
    try:
        return shorten(repr(value), _LONGEST_VALUE)
    except Exception:  # noqa: BLE001  # the application's `__repr__`
        return f"an object of type {type(value).__name__} that has no text"


def show_text(text: str, longest: int = _LONGEST_TEXT) -> str:
    """Return ``text`` for a terminal or a log: characters that control one become escapes, as `repr` has them.

    These are the control characters (C0, C1), those that turn the direction of writing, and line ends: a label value
    that a server sends must not move the cursor, or forge a line.
    """
    shown = shorten(text, longest)
    return shown if shown.isprintable() else "".join(map(_show_character, shown))


def _show_character(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


# The words of other libraries and of everyday speech for our arguments, each of which has its synonyms in a row.
_SYNONYMS = {
    "labelnames": "labels label label_names labelkeys tags dimensions attributes keys",
    "documentation": "help description desc doc docs docstring help_text text",
    "namespace": "prefix",
    "buckets": "bucket bins bounds boundaries",
    "states": "values choices options members",
    "multiprocess_mode": "mode aggregation",
    "context_labels": "context contextnames context_labelnames",
    "registry": "reg collector_registry",
    "max_children": "limit max_series cardinality",
    "ttl": "expire expires expiry lifetime timeout",
    "exist_ok": "exists_ok get_or_create reuse",
    "exclude": "excluded ignore skip excluded_handlers exclude_paths excluded_urls",
    "path": "endpoint url metrics_path metrics_endpoint",
    "extra_labels": "labels custom_labels",
    "native": "schema native_histogram native_histograms exponential",
    "exemplars": "exemplar trace_exemplars exemplar_provider",
}


def suggest(name: str, known: Iterable[str]) -> str:
    """Return the name among ``known`` that ``name`` may stand for, as ``; did you mean 'x'?``, or an empty text."""
    from difflib import get_close_matches  # 2 ms, and only for a message

    names = list(known)
    meant = [argument for argument, words in _SYNONYMS.items() if argument in names and name.lower() in words.split()]
    nearest = meant or get_close_matches(name, names, n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""


def is_cancellation(error: BaseException | None) -> bool:
    """Return whether ``error`` is the exception by which asyncio or trio cancels a task."""
    # A loop that was not imported cancels nothing, and importing asyncio would take 22 ms.
    asyncio, trio = sys.modules.get("asyncio.exceptions"), sys.modules.get("trio")
    return isinstance(error, (getattr(asyncio, "CancelledError", ()), getattr(trio, "Cancelled", ())))


class MetricsError(Exception):
    """Catch this to catch every error that asyncmetrics raises on purpose."""


class DefinitionError(MetricsError, ValueError):
    """A metric or option is declared wrongly: ``subject`` is its name, ``problem`` says what is wrong."""

    def __init__(self, subject: str, problem: str) -> None:
        self.subject = subject
        self.problem = problem
        super().__init__(f"{shorten(subject)}: {shorten(problem)}")


class DuplicateMetricError(MetricsError, ValueError):
    """A collector is not registered, because the registry already has some of its names.

    ``duplicates`` are these names, ``existing`` is the collector that has them, ``rejected`` the new one. ``problem``
    says what makes it worse, ``advice`` what to do.
    """

    def __init__(
        self, duplicates: set[str], existing: object, rejected: object, problem: str = "", advice: str = ""
    ) -> None:
        self.duplicates = duplicates
        self.existing = existing
        self.rejected = rejected
        names = shorten(", ".join(sorted(duplicates)))
        old, new = show(existing), show(rejected)
        reason = f"the registry already has {old}" if old == new else f"{names} already belongs to {old}"
        super().__init__(
            f"{new} cannot be registered: {reason}{f', and {shorten(problem)}' if problem else ''}. "
            f"{advice or 'Use the existing one (error.existing), or unregister it first.'}"
        )


class UnknownCollectorError(MetricsError, KeyError):
    """A collector cannot be unregistered: ``collector`` is not registered."""

    def __init__(self, collector: object) -> None:
        self.collector = collector
        super().__init__(collector)

    def __str__(self) -> str:
        return f"{show(self.collector)} is not registered here, so it cannot be unregistered."


class LabelError(MetricsError, ValueError):
    """Labels do not fit the metric: ``metric`` is its name, ``problem`` says what is wrong."""

    def __init__(self, metric: str, problem: str) -> None:
        self.metric = metric
        self.problem = problem
        super().__init__(f"{shorten(metric)}: {shorten(problem)}")


class AmountError(MetricsError, ValueError):
    """A metric does not accept a number: ``metric`` is its name. The metric is unchanged."""

    def __init__(self, metric: str, amount: object, expected: str, outcome: str = "the value is unchanged") -> None:
        self.metric = metric
        self.amount = amount
        super().__init__(f"{shorten(metric)}: expected {shorten(expected)}, got {show(amount)}; {outcome}.")


class ExemplarError(AmountError):
    """An exemplar breaks a rule of OpenMetrics 1.0 ("Exemplars").

    The metric is unchanged if the exemplar was passed with the number. If it came from the option ``exemplars``, the
    number counts, and the error is only logged.
    """


class AmountTypeError(MetricsError, TypeError):
    """An amount is not a real number: ``metric`` is the name of the metric, which is unchanged."""

    def __init__(self, metric: str, amount: object) -> None:
        self.metric = metric
        self.amount = amount
        super().__init__(
            f"{shorten(metric)}: expected a real number (int, float or an object that float() converts), "
            f"got {show(amount)} of type {type(amount).__name__}; the value is unchanged."
        )


class CollectorError(MetricsError, RuntimeError):
    """A collector fails during a collection: ``collector`` is its name; the exception is chained."""

    def __init__(self, collector: str, problem: str) -> None:
        self.collector = collector
        self.problem = problem
        super().__init__(f"collector {shorten(collector)}: {shorten(problem)}")


class LoopError(MetricsError, RuntimeError):
    """An async collector or gauge function cannot run on its event loop: the loop has ended, or waits for its result.

    A collection leaves out what it is about and counts it in ``asyncmetrics_collector_errors_total``.
    """


class CallbackTypeError(MetricsError, TypeError):
    """A collector or gauge function is not one: ``subject`` is what it was passed to."""

    def __init__(self, subject: str, problem: str) -> None:
        self.subject = subject
        self.problem = problem
        super().__init__(f"{shorten(subject)}: {shorten(problem)}")


class ParseError(MetricsError, ValueError):
    """An exposition breaks the rules of its format in line ``line_number``.

    ``line`` is the whole line; the message shows its beginning and its end.
    """

    def __init__(self, problem: str, line_number: int, line: str) -> None:
        self.problem = problem
        self.line_number = line_number
        self.line = line
        super().__init__(f"line {line_number}: {shorten(problem)}: {show(line)}")


class TextfileError(MetricsError, OSError):
    """The textfile at ``path`` cannot be written; it keeps its old content."""

    def __init__(self, path: str, cause: OSError) -> None:
        self.path = path
        super().__init__(
            cause.errno, f"the textfile was not written and its old content is kept: {cause.strerror}", path
        )


class PushError(MetricsError, OSError):
    """A push fails: a request ``method`` to ``url``, or sending by a protocol that ``method`` names.

    ``is_permanent`` is whether it would fail again, so that nothing is gained by another attempt. ``retry_after`` is
    how many seconds the server asks to wait until then, if it says so. ``status`` is that of the
    response, if one came over HTTP.
    """

    def __init__(
        self,
        method: str,
        url: str,
        problem: str,
        *,
        is_permanent: bool = False,
        retry_after: float | None = None,
        status: int | None = None,
    ) -> None:
        self.method = method
        self.url = url
        self.problem = problem
        self.is_permanent = is_permanent
        self.retry_after = retry_after
        self.status = status
        super().__init__(f"{method} {shorten(url)}: {shorten(problem)}")


class ScrapeError(MetricsError, OSError):
    """The metrics at ``url`` cannot be read; ``problem`` says why. A user and a password in the URL are not shown."""

    def __init__(self, url: str, problem: str) -> None:
        self.url = url
        self.problem = problem
        shown = re.sub("//[^/@]*@", "//…@", url)
        super().__init__(f"cannot read {shorten(shown)}: {shorten(problem)}")


class SourceError(MetricsError, OSError):
    """The metrics of ``source``, a file or ``module:registry``, cannot be read; ``problem`` says why."""

    def __init__(self, source: str, problem: str) -> None:
        self.source = source
        self.problem = problem
        super().__init__(f"{shorten(source)}: {shorten(problem)}")


class StorageError(MetricsError, OSError):
    """Workers cannot share their metrics in the directory ``path``."""

    def __init__(self, path: str, problem: str, code: int) -> None:
        self.path = path
        self.problem = problem
        super().__init__(code, f"workers cannot share metrics there: {problem}", path)


class InstallationError(MetricsError, ImportError):
    """asyncmetrics cannot take the place of prometheus_client in this process, which has loaded the library already."""


def _quote(requirement: str) -> str:
    quote = '"' if "'" in requirement else "'"  # an environment marker has single quotes
    return f"{quote}{requirement}{quote}"


class MissingExtraError(MetricsError, ImportError):
    """An optional part is used without its packages: ``feature`` needs ``package``, which ``extra`` installs.

    The message has a command that installs the packages of the extra by their own names. It works wherever the library
    comes from: a clone that is installed, a clone on ``PYTHONPATH``, or a package index.
    """

    def __init__(self, feature: str, package: str, extra: str) -> None:
        self.feature = feature
        self.package = package
        self.extra = extra
        requirements = " ".join(map(_quote, EXTRAS[extra]))
        super().__init__(
            f"{feature} needs {package}, which is not installed: pip install {requirements} "
            f"(what asyncmetrics-prometheus[{extra}] requires)",
            name=package,
        )
