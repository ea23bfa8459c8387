"""The proxy of ``asyncmetrics live URL``: it serves the live page and the metrics of one other server to one browser.

* `application`: which requests are answered, and how.
* `upstream`: how the other server is read.
"""
