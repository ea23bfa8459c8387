"""Dashboards and rules, from the metrics that an application declares."""
