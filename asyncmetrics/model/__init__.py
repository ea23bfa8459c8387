"""The values that all other layers exchange: names, samples, families and the definitions of metrics.

=================== ==============================================================================================
``kinds``           the table of the kinds of metrics: suffixes, own labels, units, how workers are merged
``checks``          checks of arguments, and the words of their errors
``label_errors``    the errors of ``labels()`` and ``remove()``
``names``           which names a program may declare
``escaping``        the four schemes that escape names; `escape_name`
``descriptor``      `Descriptor`: the definition of a metric; `format_bound`
``family``          `Metric`: a family with its samples; `LiveFamily`: a family that is read from children
``families``        the families that custom collectors yield, such as `GaugeMetricFamily`
``samples``         `Sample`, `Exemplar`, `Timestamp`
``native``          native histograms: their options, their buckets, `merge_stages`
``native_bounds``   the bounds of these buckets within one power of two
``label_blocks``    the text ``method="GET",route="/"`` of a child; `escape_label_value`
``http_values``     the methods, statuses and schemes of HTTP that may be label values
``caching``         a cache of results for short texts
``sharing``         objects that exist once in a process, which are neither copied nor pickled
=================== ==============================================================================================
"""
