"""Bridges to other systems: `graphite`."""
