"""OpenMetrics 1.0 written (`exposition`) and read (`parser`), under prometheus_client's names."""
