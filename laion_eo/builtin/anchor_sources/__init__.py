"""The anchor sources."""
