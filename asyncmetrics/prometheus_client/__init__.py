"""What exists only because prometheus_client has it: its import paths over our formats."""
