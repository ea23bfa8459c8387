"""The attributes of the process that sends: the message ``Resource``."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping

from asyncmetrics.bridges.otlp.attributes import encode_attributes
from asyncmetrics.bridges.push.identity import Identity
from asyncmetrics.formats.writing.custom_families import list_samples
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.family import LiveFamily, Metric
from asyncmetrics.model.names import to_label_text
from asyncmetrics.version import __version__

__all__ = ("encode_resource", "is_target", "read_target")


def encode_resource(identity: Identity, target: Mapping[str, str], given: Mapping[str, str]) -> bytes:
    """Return the resource. Of two attributes with one name the one of ``given`` wins, then that of ``target``.

    The number of the process is not among them: with it, each restart would begin new series in systems that make
    labels of all attributes, such as VictoriaMetrics.
    """
    attributes = {
        "service.name": identity.job,
        "service.instance.id": identity.instance,
        "host.name": socket.gethostname(),
        "telemetry.sdk.name": "asyncmetrics",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": __version__,
    }
    return encode_attributes(1, {**attributes, **target, **given}.items())


def is_target(family: Metric) -> bool:
    """Return whether ``family`` is ``target_info``, which describes the process and is sent as its resource."""
    return family.type == "info" and family.name == "target"


def read_target(families: Iterable[Metric]) -> dict[str, str]:
    """Return the labels of ``target_info``, if there is one."""
    labels: dict[str, str] = {}
    for family in filter(is_target, families):
        try:
            for sample in family.iter_samples() if isinstance(family, LiveFamily) else list_samples(family):
                labels.update({to_label_text(name): to_label_text(text) for name, text in sample.labels.items()})
        except Exception as error:  # noqa: BLE001  # the objects of a collector may raise anything
            pass_interruption(error)
    labels.pop("", None)
    return labels
