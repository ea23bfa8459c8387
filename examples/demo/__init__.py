"""A small shop under gentle traffic, and a live table of what its metrics say: ``make demo``."""
