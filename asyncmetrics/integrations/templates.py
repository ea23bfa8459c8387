"""The template of a route, in one syntax for all frameworks: ``/files/{name}``, without the converter of a parameter.

Starlette, FastAPI and Litestar have it. Django and Quart write ``/files/<path:name>``; Django has expressions as well.
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ("make_template",)

# A parameter may have a converter, which may have arguments: <int:pk>, <any(a, b):x>.
_PARAMETER = re.compile(r"<(?:[^<>:()]+(?:\(.*?\))?:)?([^\W\d]\w*)>")
_NAMED_GROUP = re.compile(r"\(\?P<(\w+)>")
_ANCHOR = re.compile(r"(?:(?<=/)|^)\^|(?:\$|\\Z)$")
_ESCAPE = re.compile(r"\\([^\w\s])")
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[()]", re.DOTALL)


@lru_cache(maxsize=1024)  # an application has fewer routes
def make_template(route: str) -> str:
    """Return ``route``, of Django or Quart, with each parameter as its name in braces."""
    if "(?P<" in route or _ANCHOR.search(route):
        route = _ESCAPE.sub(r"\1", _ANCHOR.sub("", _replace_groups(route)))
    return _PARAMETER.sub(r"{\1}", route)


def _replace_groups(expression: str) -> str:
    """Return a regular expression with ``{name}`` in place of each group that has a name."""
    parts = []
    while group := _NAMED_GROUP.search(expression):
        end = _find_end(expression, group.end())
        parts += [expression[: group.start()], f"{{{group[1]}}}"]
        expression = expression[end:]
    return "".join([*parts, expression])


def _find_end(expression: str, start: int) -> int:
    """Return the position after the bracket that closes a group whose contents begin at ``start``."""
    depth = 1
    for token in _TOKEN.finditer(expression, start):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if depth == 0:
            return token.end()
    return len(expression)
