"""Checks of a run directory: its files against its records, its tables against each other."""
