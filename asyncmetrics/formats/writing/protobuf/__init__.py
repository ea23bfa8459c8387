"""From families to protobuf: messages ``io.prometheus.client.MetricFamily``, each with its size before it.

https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto. It is the only format of a
scrape that holds native histograms, and times of creation and exemplars of all kinds that have some.

===================== ============================================================================================
``families``          `encode_protobuf`: the messages of an exposition, in short steps
``live``              metrics of this library, some children at a time
``custom``            families of custom collectors
``labels``            the labels of live families, by child
``messages``          the parts of which a metric consists: numbers, buckets, native histograms, exemplars, times
===================== ============================================================================================
"""

from asyncmetrics.formats.writing.protobuf.families import encode_protobuf

__all__ = ("encode_protobuf",)
