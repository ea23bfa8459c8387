"""The live page: one HTML file that reads the metrics of its own server, parses them in the browser and draws them.

* `page`: `load_page`, the bytes of the page and the headers that it needs.
* `serving`: which requests are for the page, and the responses.
* ``assets/``: the page itself, its style, and its script in parts.

*Rules.*

1. The page is one file. It loads nothing, and connects only to its own origin: the Content-Security-Policy enforces it.
2. Nothing that the server of the metrics sends is markup. The script sets ``textContent`` and draws on canvases; it
   has no ``innerHTML``, no ``eval`` and no ``style`` attribute.
3. The page holds no data of the server, so that it can be served without credentials where a token is asked for.
4. There is no state in the server. Each page computes rates and quantiles from the texts that it has read itself.

*Theory of operation.*

1. The page is served at ``<metrics>/live``. The script removes ``/live`` from its own path and reads ``<metrics>``, so
   the prefix of a proxy needs no setting.
2. Each text is parsed to families (``text.js``). What has increased since the text before is kept for ten seconds
   (``history.js``): rates and quantiles are those of the last ten seconds.
3. ``names.js`` finds the metrics of HTTP servers, clients, loops and jobs by their names, in each convention.
4. Each section takes from this what it shows. A section without metrics is hidden.
5. An error of the network or of the server is shown at the top. The page keeps what it has and tries again.
"""
