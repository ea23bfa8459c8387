"""The check of the names of jobs, each of which is the value of a label."""

from __future__ import annotations

from asyncmetrics.model.checks import make_refusal

__all__ = ("check_job_name",)


def check_job_name(name: object, example: str, remedy: str = "") -> None:
    """Raise `DefinitionError` unless ``name`` is a str that is not empty. ``remedy`` is advice for another object."""
    if not isinstance(name, str):
        raise make_refusal("name", f"a str such as {example!r}", name, remedy)
    if not name:
        raise make_refusal("name", f"a str that is not empty, such as {example!r}", name)
