"""Metrics from and to other systems; each bridge is a module, which loads what it needs when it is used."""
