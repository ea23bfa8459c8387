"""Metrics from and to other systems.

* `pushgateway`: push to a Pushgateway, for jobs that end before they are scraped; `http` sends the requests.
* `prometheus_client`: collect prometheus_client's registries, or have it collect ours.

Import a bridge from its module, which loads what it needs when it is used.
"""
