"""`PrometheusDjangoView`."""

from __future__ import annotations

from asyncmetrics.prometheus_client.django.exposition import PrometheusDjangoView

__all__ = ("PrometheusDjangoView",)
