"""Pushing the metrics of a registry to another system, again and again: what all sinks share.

===================== ============================================================================================
``sink``              `Sink`, the protocol between the pusher and a system; `Payload` and `Part`, what is sent
``pusher``            `Pusher`: its arguments, its start and its end
``thread``            `PusherThread`: a pusher in a thread with a loop of its own
``pushing``           a pusher at work on one event loop: when it collects, when it sends, how it ends
``work``              what all loops of a pusher share: collecting, encoding, and one send at a time
``sending``           one attempt to send, and what follows from its outcome
``pending``           the payloads that wait to be sent
``termination``       the last push when the process gets SIGTERM
``wakeup``            how SIGTERM wakes the main thread
``identity``          the labels ``job`` and ``instance`` of this process
``selection``         which families a pusher sends
``metrics``           the metrics about pushes
``deltas``              what numbers have grown by since they were last sent
``series``              `SeriesReader`: the series of families one by one, for systems without families
``paths``               a name and labels as one text that can be read back, for Graphite and StatsD
``datagrams``           `DatagramWriter`: lines packed into datagrams
``streams``             sockets that sinks send by: TCP with TLS, UDP, Unix datagrams
``http``              `HttpSink`: what sinks over HTTP share: requests, and what a status means
``http_options``      URLs, headers, credentials and certificates
===================== ============================================================================================
"""
