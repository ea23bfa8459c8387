"""The route template of a request, read from the values that the router writes into the request's scope.

Starlette and FastAPI write such values; other integrations set ``ROUTE_KEY`` instead.

* `resolver`: finds the template of a request.
* `table`: lists all routes of a router.
"""
