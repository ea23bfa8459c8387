"""Samples, exemplars and timestamps."""

from __future__ import annotations

from asyncmetrics.model.samples import BucketSpan, Exemplar, NativeHistogram, Sample, Timestamp

__all__ = ("BucketSpan", "Exemplar", "NativeHistogram", "Sample", "Timestamp")
