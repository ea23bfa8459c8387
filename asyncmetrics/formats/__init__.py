"""Metric families as text and back: the Prometheus text format and OpenMetrics.

===================== ============================================================================================
``negotiation``       decides which format a scrape gets, by its Accept header
``writing``           from families to chunks of bytes
``reading``           from text to families
``rules``             what OpenMetrics asks of a sample and of a histogram; the writer and the reader use it
``numbers``           doubles as text
``protobuf``          the wire format of protocol buffers, for the protocols of sinks
``native_histograms`` what the buckets of a native histogram have to be, in every format
===================== ============================================================================================

Label values are escaped in ``asyncmetrics.model.label_blocks``, names in ``asyncmetrics.model.escaping``.
"""
