"""Servers and files of our own that the tests speak to: a Hub, a hostile web, miniatures."""
