"""A small shop with light traffic, and a live table of its metrics: ``make demo``."""
