"""Metrics sent to Prometheus, Mimir, Thanos, VictoriaMetrics and others by their remote write protocol.

===================== ============================================================================================
``sink``              `RemoteWrite`: sends requests, and finds out which version the receiver takes
``encoding``          families to compressed requests of a bounded size, in short steps
``live_series``       series of the metrics of this library
``custom_series``     series of the samples that custom collectors yield
``layout``            the order of the labels of a family's series
``messages``          the two messages: ``prometheus.WriteRequest`` (1.0), ``io.prometheus.write.v2.Request`` (2.0)
``histograms``        native histograms, which both versions write alike
``staleness``         the series of the last request, and the end marks of those that are gone
``conversion``        a request of 2.0 as one of 1.0, for a receiver that does not take 2.0
``snappy``            compression in steps
``times``             Unix times in milliseconds
===================== ============================================================================================

The specifications are https://prometheus.io/docs/specs/prw/remote_write_spec/ and
https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/.
"""

from asyncmetrics.bridges.remote_write.sink import RemoteWrite

__all__ = ("RemoteWrite",)
