"""Text to families: the Prometheus and the OpenMetrics text formats."""
