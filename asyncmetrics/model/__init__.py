"""Immutable values that every other layer speaks in: names, samples, families, descriptors."""
