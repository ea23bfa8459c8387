"""Run the tests of public packages that use prometheus_client, with the library and with asyncmetrics in its place.

Rules:

- A package comes from the package index, in a fixed version, with fixed versions of what it needs.
- Only a test that passes twice with the real prometheus_client counts. So a flaky test counts for nobody.
- Only the differences in `scripts.suites.differences` may be left out, and each names a row of docs/migrating.md.
"""
