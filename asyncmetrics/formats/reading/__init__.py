"""From text to families: the Prometheus text format and OpenMetrics. Of protobuf, only what no text says.

===================== ============================================================================================
``text``              `parse_prometheus`: the text formats 0.0.4 and 1.0.0
``openmetrics``       `parse_openmetrics`: OpenMetrics 1.0.0
``protobuf``          `list_native_names`: which families are native histograms
``sample_lines``      reads one sample line, in either format
``open_family``       the family whose lines are being read
``family_rules``      holds the samples of one family to the rules of OpenMetrics
``strict_text``       what is wrong with a text in the format 0.0.4 that the reader accepts
===================== ============================================================================================
"""
