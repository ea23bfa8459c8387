"""A server of StatsD: the lines that other programs send become metrics of a registry.

===================== ============================================================================================
``server``            `StatsDServer`: starts, stops, and takes over the port from a worker that has died
``session``           a server at work on one event loop
``sockets``           the UDP socket or the Unix socket, and which process owns it
``receiving``         datagrams from the socket into a bounded queue
``lines``             lines to changes of children; a line that was seen before costs one look-up
``protocol``          the grammar of StatsD and of its dialects
``mapper``, ``globs`` which rule of the mapping a name matches, and the name and labels that it makes
``rules``, ``config`` the rules themselves, read from dicts, JSON or YAML
``minting``           the metrics that lines bring into being, and their limits
``changes``           what a value does to a child, by its type
``sets``              the distinct members of sets
``outcomes``          why lines are refused: counted, and logged once a reason
``caching``           a bounded cache
===================== ============================================================================================

*Rules.*

1. Nothing that a remote sends raises an exception, or blocks the loop for more than a step.
2. Whatever grows with what a remote sends has a limit: names, series, set members, caches, the queue.
"""

from __future__ import annotations

from asyncmetrics.bridges.statsd_server.server import StatsDServer

__all__ = ("StatsDServer",)
