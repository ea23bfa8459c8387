"""The families that custom collectors yield, under prometheus_client's names and arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

from asyncmetrics.errors import DefinitionError
from asyncmetrics.model.checks import check_mapping, check_text, list_items, list_texts, make_refusal
from asyncmetrics.model.family import Metric
from asyncmetrics.model.samples import Exemplar, Timestamp

__all__ = (
    "CounterMetricFamily",
    "GaugeHistogramMetricFamily",
    "GaugeMetricFamily",
    "HistogramMetricFamily",
    "InfoMetricFamily",
    "StateSetMetricFamily",
    "SummaryMetricFamily",
    "UnknownMetricFamily",
    "UntypedMetricFamily",
)

When: TypeAlias = float | Timestamp | None
Buckets: TypeAlias = Sequence[tuple[str, float] | tuple[str, float, Exemplar | None]]


class _Family(Metric):
    def __init__(
        self,
        name: str,
        documentation: str,
        typ: str,
        labels: Iterable[str] | None,
        single: object,
        unit: str = "",
    ) -> None:
        super().__init__(name, documentation, typ, unit)
        # The names alone count of a mapping, which collectors pass for its order.
        names = tuple(labels) if isinstance(labels, Mapping) else () if labels is None else labels
        self._labelnames = list_texts("labels", names, "label names", f"metric {name!r}")
        if single is not None and labels is not None:
            raise DefinitionError(
                f"metric {name!r}",
                "expected the numbers (without labels) or labels (then call add_metric), got both",
            )

    def _pair_labels(self, values: Iterable[str]) -> dict[str, str]:
        if isinstance(values, str):  # its characters would be values
            raise make_refusal("labels", "a list of values", values, f"write [{values!r}]", f"metric {self.name!r}")
        texts = [str(value) for value in values]
        if len(texts) != len(self._labelnames):
            raise DefinitionError(
                f"metric {self.name!r}",
                f"expected a value for each of the labels {list(self._labelnames)}, got {texts}",
            )
        return dict(zip(self._labelnames, texts, strict=True))


class _ValueFamily(_Family):
    _type: ClassVar[str]

    def __init__(
        self,
        name: str,
        documentation: str,
        value: float | None = None,
        labels: Sequence[str] | None = None,
        unit: str = "",
    ) -> None:
        super().__init__(name, documentation, self._type, labels, value, unit)
        if value is not None:
            self.add_metric([], value)

    def add_metric(self, labels: Sequence[str], value: float, timestamp: When = None) -> None:
        """Add the ``value`` of the child with these label values."""
        self.add_sample(self.name, self._pair_labels(labels), value, timestamp)


class UnknownMetricFamily(_ValueFamily):
    """A family of values of an unknown type. Pass ``value`` for a single one, or ``labels`` and call `add_metric`."""

    _type: ClassVar[str] = "unknown"


UntypedMetricFamily = UnknownMetricFamily


class GaugeMetricFamily(_ValueFamily):
    """A family of values that go up and down. Pass ``value`` for a single one, or ``labels`` and call `add_metric`."""

    _type: ClassVar[str] = "gauge"


class CounterMetricFamily(_Family):
    """A family of values that only go up. The name may end with ``_total`` or not.

    ``created`` is the Unix time in seconds at which counting began.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        value: float | None = None,
        labels: Sequence[str] | None = None,
        created: float | None = None,
        unit: str = "",
        exemplar: Exemplar | None = None,
    ) -> None:
        check_text("name", name, "orders")
        super().__init__(name.removesuffix("_total"), documentation, "counter", labels, value, unit)
        if value is not None:
            self.add_metric([], value, created, exemplar=exemplar)

    def add_metric(
        self,
        labels: Sequence[str],
        value: float,
        created: float | None = None,
        timestamp: When = None,
        exemplar: Exemplar | None = None,
    ) -> None:
        """Add the ``value`` of the child with these label values."""
        own = self._pair_labels(labels)
        self.add_sample(f"{self.name}_total", own, value, timestamp, exemplar)
        if created is not None:
            self.add_sample(f"{self.name}_created", own, created, timestamp)


class SummaryMetricFamily(_Family):
    """A family of counts and sums. Pass ``count_value`` and ``sum_value``, or ``labels`` and call `add_metric`."""

    def __init__(
        self,
        name: str,
        documentation: str,
        count_value: float | None = None,
        sum_value: float | None = None,
        labels: Sequence[str] | None = None,
        unit: str = "",
    ) -> None:
        super().__init__(name, documentation, "summary", labels, count_value, unit)
        if (count_value is None) != (sum_value is None):
            raise DefinitionError(f"metric {name!r}", "expected both count_value and sum_value, got only one")
        if count_value is not None and sum_value is not None:
            self.add_metric([], count_value, sum_value)

    def add_metric(self, labels: Sequence[str], count_value: float, sum_value: float, timestamp: When = None) -> None:
        """Add the count and the sum of the child with these label values."""
        own = self._pair_labels(labels)
        self.add_sample(f"{self.name}_count", own, count_value, timestamp)
        self.add_sample(f"{self.name}_sum", own, sum_value, timestamp)


class HistogramMetricFamily(_Family):
    """A family of cumulative buckets. Pass ``buckets`` and ``sum_value``, or ``labels`` and call `add_metric`."""

    def __init__(
        self,
        name: str,
        documentation: str,
        buckets: Buckets | None = None,
        sum_value: float | None = None,
        labels: Sequence[str] | None = None,
        unit: str = "",
    ) -> None:
        super().__init__(name, documentation, "histogram", labels, buckets, unit)
        if sum_value is not None and buckets is None:
            raise DefinitionError(f"metric {name!r}", "expected buckets with sum_value, got only sum_value")
        if buckets is not None:
            self.add_metric([], buckets, sum_value)

    def add_metric(
        self, labels: Sequence[str], buckets: Buckets, sum_value: float | None, timestamp: When = None
    ) -> None:
        """Add one child: ``buckets`` are (upper bound as text, cumulative count[, exemplar]), ``+Inf`` last.

        The ``+Inf`` bucket is the count. Without a ``sum_value``, or with a negative bound, neither count nor sum is
        exposed (OpenMetrics 1.0, "Histogram").
        """
        own = self._pair_labels(labels)
        _add_buckets(self, own, buckets, timestamp)
        if sum_value is not None and float(buckets[0][0]) >= 0:
            self.add_sample(f"{self.name}_count", own, buckets[-1][1], timestamp)
            self.add_sample(f"{self.name}_sum", own, sum_value, timestamp)


class GaugeHistogramMetricFamily(_Family):
    """A family of buckets whose counts go up and down, such as the ages of the items in a queue."""

    def __init__(
        self,
        name: str,
        documentation: str,
        buckets: Buckets | None = None,
        gsum_value: float | None = None,
        labels: Sequence[str] | None = None,
        unit: str = "",
    ) -> None:
        super().__init__(name, documentation, "gaugehistogram", labels, buckets, unit)
        if buckets is not None:
            self.add_metric([], buckets, gsum_value)

    def add_metric(
        self, labels: Sequence[str], buckets: Buckets, gsum_value: float | None, timestamp: When = None
    ) -> None:
        """Add one child: ``buckets`` are (upper bound as text, cumulative count[, exemplar]), ``+Inf`` last."""
        own = self._pair_labels(labels)
        _add_buckets(self, own, buckets, timestamp)
        self.add_sample(f"{self.name}_gcount", own, buckets[-1][1], timestamp)
        if gsum_value is not None:
            self.add_sample(f"{self.name}_gsum", own, gsum_value, timestamp)


class InfoMetricFamily(_Family):
    """A family of facts as labels: ``value`` maps names to texts."""

    def __init__(
        self,
        name: str,
        documentation: str,
        value: Mapping[str, str] | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        super().__init__(name, documentation, "info", labels, value)
        if value is not None:
            self.add_metric([], value)

    def add_metric(self, labels: Sequence[str], value: Mapping[str, str], timestamp: When = None) -> None:
        """Add one child with the facts in ``value``."""
        check_mapping("value", value, "names to text", f"metric {self.name!r}")
        self.add_sample(f"{self.name}_info", {**self._pair_labels(labels), **value}, 1, timestamp)


class StateSetMetricFamily(_Family):
    """A family of named booleans: ``value`` maps each state to whether it is on."""

    def __init__(
        self,
        name: str,
        documentation: str,
        value: Mapping[str, bool] | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        super().__init__(name, documentation, "stateset", labels, value)
        if value is not None:
            self.add_metric([], value)

    def add_metric(self, labels: Sequence[str], value: Mapping[str, bool], timestamp: When = None) -> None:
        """Add one child. Its states are exposed in alphabetical order."""
        check_mapping("value", value, "states to True or False", f"metric {self.name!r}")
        own = self._pair_labels(labels)
        for state, enabled in sorted(value.items()):
            self.add_sample(self.name, {**own, self.name: state}, 1 if enabled else 0, timestamp)


def _add_buckets(family: Metric, labels: dict[str, str], buckets: Buckets, timestamp: When) -> None:
    owner, expected = f"metric {family.name!r}", "a list of (bound as text, count) that ends with '+Inf'"
    rows: Any = list_items("buckets", buckets, expected, owner)
    if not rows or not all(isinstance(row, Sequence) and not isinstance(row, str) and len(row) > 1 for row in rows):
        raise make_refusal("buckets", expected, buckets, owner=owner)
    for bound, value, *exemplar in rows:
        own = {**labels, "le": bound}
        family.add_sample(f"{family.name}_bucket", own, value, timestamp, exemplar[0] if exemplar else None)
