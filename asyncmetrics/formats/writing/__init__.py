"""From families to chunks of bytes: the Prometheus text format, OpenMetrics and protobuf.

===================== ============================================================================================
``text``              `encode_text`: the text formats 0.0.4 and 1.0.0
``openmetrics``       `encode_openmetrics`: OpenMetrics 1.0.0
``protobuf``          `encode_protobuf`: messages ``MetricFamily``, each with its size before it
``live_families``     renders the metrics of this library, by a template for each metric
``custom_families``   reads what custom collectors yield, whatever they put into it
``claims``            keeps two families of one exposition from writing the same name
``sample_filter``     leaves out the samples of custom families that OpenMetrics forbids
``sample_order``      puts the samples of each child of a custom family together, as OpenMetrics asks
``sample_groups``     groups the samples of a custom family into points, for formats without lines
``omissions``         reports the samples that a format cannot hold
``lines``             names, labels and sample lines, in both formats
``chunks``            joins rendered text into chunks of bytes
===================== ============================================================================================
"""
