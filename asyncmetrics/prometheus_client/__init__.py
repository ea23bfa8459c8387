"""prometheus_client's import paths, over our formats: what exists only because prometheus_client has it."""
