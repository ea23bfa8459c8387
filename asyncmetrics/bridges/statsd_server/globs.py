"""`GlobTree`: which glob matches a dotted name, without trying one after the other.

*Theory of operation.* Each segment of a glob is an edge of a tree: a text, or ``*`` for any segment. A look-up follows
the text and the ``*`` at each node. So it visits a node at most once, and only nodes that a glob has made: no name
takes longer than the table has segments.
"""

from __future__ import annotations

from typing import final

from asyncmetrics.bridges.statsd_server.rules import LineKind, Rule

__all__ = ("GlobTree",)


@final
class _Node:
    __slots__ = ("edges", "rules")

    def __init__(self) -> None:
        self.edges: dict[str, _Node] = {}
        self.rules: list[tuple[int, Rule]] = []


@final
class GlobTree:
    """The rules that match by globs."""

    def __init__(self, *, is_ordered: bool) -> None:
        self._root = _Node()
        self._is_ordered = is_ordered
        self._count = 0

    def add(self, rule: Rule) -> None:
        """Add a rule, which comes after those that were added before it."""
        node = self._root
        for segment in rule.match.split("."):
            node = node.edges.setdefault(segment, _Node())
        node.rules.append((self._count, rule))
        self._count += 1

    def find(self, name: str, kind: LineKind) -> tuple[Rule, list[str]] | None:
        """Return the rule that wins, and the segments that its ``*`` stand for."""
        segments = name.split(".")
        best: tuple[int, Rule] | None = None
        # A stack and no recursion: names come from remotes. Texts are tried before ``*``.
        pending = [(self._root, 0)]
        while pending:
            node, depth = pending.pop()
            if depth < len(segments):
                edges = node.edges
                pending.extend((edges[edge], depth + 1) for edge in ("*", segments[depth]) if edge in edges)
                continue
            for found in node.rules:
                if found[1].kind in (None, kind) and (best is None or found[0] < best[0]):
                    best = found
            if best is not None and not self._is_ordered:
                break
        if best is None:
            return None
        pattern = best[1].match.split(".")
        return best[1], [segment for segment, glob in zip(segments, pattern, strict=True) if glob == "*"]
