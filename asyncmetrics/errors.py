"""The exceptions of asyncmetrics, each also the builtin that it means.

::

    MetricsError
    ├── DefinitionError (ValueError)         a metric declared wrongly: name, labels, buckets, states
    ├── DuplicateMetricError (ValueError)    a name that the registry already has
    ├── UnknownCollectorError (KeyError)     unregistering what is not registered
    ├── LabelError (ValueError)              labels that do not fit the metric
    ├── AmountError (ValueError)             a number that the metric cannot take
    │   └── ExemplarError                    an exemplar that OpenMetrics does not allow
    ├── AmountTypeError (TypeError)          not a number at all
    ├── CollectorError (RuntimeError)        a collector that failed where the caller asked to hear of it
    ├── ParseError (ValueError)              an exposition that its format does not allow
    ├── TextfileError (OSError)              a textfile that could not be written
    ├── PushError (OSError)                  a gateway that could not be reached, or that refused
    ├── StorageError (OSError)               a directory for the metrics of several workers that cannot be used
    └── MissingExtraError (ImportError)      an optional part whose packages are not installed
"""

from __future__ import annotations

import sys

__all__ = (
    "AmountError",
    "AmountTypeError",
    "CollectorError",
    "DefinitionError",
    "DuplicateMetricError",
    "ExemplarError",
    "LabelError",
    "MetricsError",
    "MissingExtraError",
    "ParseError",
    "PushError",
    "StorageError",
    "TextfileError",
    "UnknownCollectorError",
    "is_cancellation",
    "shorten",
    "show",
)

_LONGEST_VALUE = 200  # characters of a value in a message
_LONGEST_PART = 1000  # characters of any other part: messages are logged, and a scraped line may have megabytes
_WIDEST_INT = 4096  # bits of an int that is written out: the time that `repr` takes grows with their square


def shorten(text: str, longest: int = _LONGEST_PART) -> str:
    """Return ``text`` for a message: where it is longer than ``longest``, its beginning and its end."""
    return text if len(text) <= longest else f"{text[: longest // 2]}…{text[-longest // 2 :]}"


def show(value: object) -> str:
    """Return the `repr` of ``value`` for a message, shortened; never raises."""
    if isinstance(value, int) and value.bit_length() > _WIDEST_INT:
        return f"an int of {value.bit_length()} bits"
    try:
        return shorten(repr(value), _LONGEST_VALUE)
    except Exception:  # noqa: BLE001  # an object of the application's
        return f"an object of type {type(value).__name__} that has no text"


def is_cancellation(error: BaseException | None) -> bool:
    """Tell whether ``error`` is how asyncio or trio cancels a task, and so no fault."""
    # A loop that was not imported cancels nothing, and importing asyncio would take 22 ms.
    asyncio, trio = sys.modules.get("asyncio.exceptions"), sys.modules.get("trio")
    return isinstance(error, (getattr(asyncio, "CancelledError", ()), getattr(trio, "Cancelled", ())))


class MetricsError(Exception):
    """Catch this to catch every error that asyncmetrics raises on purpose."""


class DefinitionError(MetricsError, ValueError):
    """Tell that a metric is declared wrongly: ``subject`` is what was named, ``problem`` what is wrong with it."""

    def __init__(self, subject: str, problem: str) -> None:
        self.subject = subject
        self.problem = problem
        super().__init__(f"{shorten(subject)}: {shorten(problem)}")


class DuplicateMetricError(MetricsError, ValueError):
    """Tell that a registry already has these names.

    ``existing`` is the collector that holds them, ``rejected`` the one that was refused, ``duplicates`` the names.
    """

    def __init__(self, duplicates: set[str], existing: object, rejected: object, problem: str = "") -> None:
        self.duplicates = duplicates
        self.existing = existing
        self.rejected = rejected
        names = shorten(", ".join(sorted(duplicates)))
        super().__init__(
            f"{show(rejected)} cannot be registered: {names} already belongs to {show(existing)}"
            f"{f', and {shorten(problem)}' if problem else ''}. "
            "Use the existing one (error.existing), pass exist_ok=True, or unregister it first."
        )


class UnknownCollectorError(MetricsError, KeyError):
    """Tell that ``collector`` is not registered."""

    def __init__(self, collector: object) -> None:
        self.collector = collector
        super().__init__(collector)

    def __str__(self) -> str:
        return f"{show(self.collector)} is not registered here, so it cannot be unregistered."


class LabelError(MetricsError, ValueError):
    """Tell that labels do not fit ``metric``."""

    def __init__(self, metric: str, problem: str) -> None:
        self.metric = metric
        self.problem = problem
        super().__init__(f"{shorten(metric)}: {shorten(problem)}")


class AmountError(MetricsError, ValueError):
    """Tell that ``metric`` cannot take ``amount``; nothing was changed."""

    def __init__(self, metric: str, amount: object, expected: str) -> None:
        self.metric = metric
        self.amount = amount
        super().__init__(
            f"{shorten(metric)}: expected {shorten(expected)}, got {show(amount)}; the value is unchanged."
        )


class ExemplarError(AmountError):
    """Tell that an exemplar breaks a rule of OpenMetrics 1.0 ("Exemplars"); nothing was counted."""


class AmountTypeError(MetricsError, TypeError):
    """Tell that ``metric`` was given something that is no real number."""

    def __init__(self, metric: str, amount: object) -> None:
        self.metric = metric
        self.amount = amount
        super().__init__(
            f"{shorten(metric)}: expected a real number (int, float or what float() makes one of), "
            f"got {show(amount)} of type {type(amount).__name__}; the value is unchanged."
        )


class CollectorError(MetricsError, RuntimeError):
    """Tell that ``collector`` failed during a collection; the cause is chained."""

    def __init__(self, collector: str, problem: str) -> None:
        self.collector = collector
        self.problem = problem
        super().__init__(f"collector {shorten(collector)}: {shorten(problem)}")


class ParseError(MetricsError, ValueError):
    """Tell that line ``line_number`` of an exposition is not what its format allows.

    ``line`` is the whole line; the message shows its beginning and its end.
    """

    def __init__(self, problem: str, line_number: int, line: str) -> None:
        self.problem = problem
        self.line_number = line_number
        self.line = line
        super().__init__(f"line {line_number}: {shorten(problem)}: {show(line)}")


class TextfileError(MetricsError, OSError):
    """Tell that the textfile at ``path`` could not be written; what was there before is still there."""

    def __init__(self, path: str, cause: OSError) -> None:
        self.path = path
        super().__init__(
            cause.errno, f"the textfile was not written and its old content is kept: {cause.strerror}", path
        )


class PushError(MetricsError, OSError):
    """Tell that ``method`` at ``url`` failed; what was pushed before is still there."""

    def __init__(self, method: str, url: str, problem: str) -> None:
        self.method = method
        self.url = url
        self.problem = problem
        super().__init__(f"{method} {shorten(url)}: {shorten(problem)}")


class StorageError(MetricsError, OSError):
    """Tell that workers cannot share their metrics in the directory ``path``."""

    def __init__(self, path: str, problem: str, code: int) -> None:
        self.path = path
        self.problem = problem
        super().__init__(code, f"workers cannot share metrics there: {problem}", path)


class MissingExtraError(MetricsError, ImportError):
    """Tell which extra to install: ``feature`` needs ``package``."""

    def __init__(self, feature: str, package: str, extra: str) -> None:
        self.feature = feature
        self.package = package
        self.extra = extra
        super().__init__(
            f"{feature} needs {package}, which is not installed: pip install 'asyncmetrics-prometheus[{extra}]'",
            name=package,
        )
