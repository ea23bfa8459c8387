"""The template of a route is the same text in every framework: a parameter is its name in braces."""

from __future__ import annotations

import pytest

from asyncmetrics.integrations.templates import make_template

pytestmark = pytest.mark.edge("route")

TEMPLATES = {
    "/": "/",
    "/items/<item>": "/items/{item}",
    "/items/<int:pk>/": "/items/{pk}/",
    "/files/<path:p>": "/files/{p}",
    "/<a>-<int:b>.<c>": "/{a}-{b}.{c}",
    "/<any(a, b):kind>/x": "/{kind}/x",
    "/<string(length=2):lang>/<item>": "/{lang}/{item}",
    "/<my-converter:naïve>": "/{naïve}",
    "/a<b": "/a<b",
    "/$metadata": "/$metadata",
    "/^years/(?P<year>[0-9]{4})/$": "/years/{year}/",
    "/api/^v(?P<version>(1|2))/(?P<x>[^)/]+)/?$": "/api/v{version}/{x}/?",
    r"/^robots\.txt\Z": "/robots.txt",
    r"/^(?P<a>\(\w+\))$": "/{a}",
    "/^plain/([0-9]+)$": "/plain/([0-9]+)",
    "/^open/(?P<x>[0-9": "/open/{x}",
}


@pytest.mark.parametrize("route", TEMPLATES)
def test_the_template_of(route):
    assert make_template(route) == TEMPLATES[route]
