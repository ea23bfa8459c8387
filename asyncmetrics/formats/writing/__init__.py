"""Families to chunks of bytes: the Prometheus and the OpenMetrics text formats."""
