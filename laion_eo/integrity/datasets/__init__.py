"""Checks of a release tree: its files against each other."""
