"""The table that ``asyncmetrics top`` prints, and the demo, from two readings of an exposition.

* `snapshots`: one reading, and what has increased since another one.
* `routes`: the table of routes, under the names of several libraries.
* `inside`: the lines below it: the event loop, queues, jobs, heartbeats, streams.
* `busiest`: the busiest counters, gauges and histograms of any exporter.
* `rendering`: all of them by rich, which the extra ``cli`` has.
"""
