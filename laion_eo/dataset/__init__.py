"""The published dataset: its card and its files."""
