"""Families to chunks of bytes and back: the text formats of Prometheus and OpenMetrics, and which one to send."""
