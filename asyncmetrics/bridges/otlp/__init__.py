"""Pushing metrics by OTLP, the protocol of OpenTelemetry, over HTTP (https://opentelemetry.io/docs/specs/otlp/).

===================== ============================================================================================
``sink``              `OTLP`, the sink
``environment``       the variables ``OTEL_…``, and what they are worth
``resource``          the attributes of the process: ``service.name`` and others
``live``              the metrics of this library, as data points
``custom``            the families of custom collectors, as data points
``points``            one data point of each type
``native``            native histograms, as exponential ones
``attributes``        labels, as attributes
``export``            what the parts of one export share
``metric``            what stands before the data points of a family: name, unit, type
``units``             units of Prometheus, as those of UCUM
``requests``          the data points in requests of a bounded size
``answers``           what the server answers
===================== ============================================================================================

The field numbers are those of opentelemetry-proto 1.0, ``opentelemetry/proto/metrics/v1/metrics.proto``.
"""

from __future__ import annotations

from asyncmetrics.bridges.otlp.sink import OTLP

__all__ = ("OTLP",)
