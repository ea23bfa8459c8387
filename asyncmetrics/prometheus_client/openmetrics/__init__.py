"""OpenMetrics 1.0 under prometheus_client's names: `exposition` writes it, `parser` reads it."""
