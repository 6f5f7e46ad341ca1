"""Downloader ``http``: fast, polite and safe on a hostile, rotting web.

=================  ==============================================================================
``options``        what a run file can say
``downloader``     the component: an event loop in a thread of its own, results handed over bounded
``scheduling``     which URL is next: a few at a time per host, many hosts at a time
``fetch``          one URL: rules, redirects, retries, and what came of it
``client``         one request: addresses, pace, time limits, errors turned into statuses
``addresses``      which URLs and addresses may be asked
``rate_limits``    at most so many connections and so many requests a second to one host
``rules``          robots.txt and tdmrep.json, once per site
``headers``        X-Robots-Tag, TDMRep and Retry-After
``body``           reading an answer without trusting its length or its compression
``sniffing``       what the bytes are, from the header first
``structure``      whether a file is whole, and whether it moves, without decoding it
=================  ==============================================================================

Memory: two small bodies (512 KiB) for each request at a time, 192 MiB of larger ones together (or
one of ``max_bytes``), and 64 MiB on their way to the disk: below 450 MiB with the default options,
whatever the servers send. Files of rules that are made to take memory take up to 170 MiB more.
"""
