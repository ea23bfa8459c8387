"""Metric families as bytes and back: the Prometheus text format, OpenMetrics, and protobuf, which is only written.

===================== ============================================================================================
``negotiation``       decides which format a scrape gets, by its Accept header
``writing``           from families to chunks of bytes
``reading``           from text to families
``rules``             what OpenMetrics asks of a sample and of a histogram; the writer and the reader use it
``numbers``           doubles as text
``protobuf``          the wire format of protocol buffers, for the exposition and the protocols of sinks
``native_histograms`` what the buckets of a native histogram have to be, in every format, and their messages
===================== ============================================================================================

Label values are escaped in ``asyncmetrics.model.label_blocks``, names in ``asyncmetrics.model.escaping``.
"""
