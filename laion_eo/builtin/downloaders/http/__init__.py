"""Downloader ``http``: fast, polite and safe on a hostile, rotting web.

=================  ==============================================================================
``options``        what a run file can say
``downloader``     the component: an event loop in a thread of its own, results in a bounded queue
``scheduling``     which URL is next: a few workers for each host, many hosts at a time
``fetch``          one URL: rules, redirects, retries, lists, and what came of it
``client``         one request: addresses, rate limits, time limits, errors turned into statuses
``crawler``        who asks, and through which proxy, if any
``addresses``      which URLs and addresses may be asked
``rate_limits``    at most so many connections and so many requests a second to one host
``rules``          robots.txt and tdmrep.json, once per site
``robots``         which of a robots.txt's groups speak to us
``headers``        X-Robots-Tag
``body``           reading an answer without trusting its length or its compression
``inspection``     what the bytes are, in one trip: format, size, completeness, motion
``structure``      the part of it that walks a file's structure, without decoding
``refusal``        the exception that says how a download ends without an image
=================  ==============================================================================

Retries follow :mod:`laion_eo.retrying`, and lists of allowed and blocked hashes are those of
:mod:`laion_eo.builtin.hash_lists`. The bytes of an image are hashed once: they carry their digests
(:mod:`laion_eo.digests`) from the list lookup to the check of the contract.

Memory: two small bodies (512 KiB) for each request at a time, 192 MiB of larger ones together (or
one of ``max_bytes``), and 64 MiB in the queue: below 450 MiB with the default options, whatever the
servers send. Files of rules that are made to take memory take up to 170 MiB more.
"""
