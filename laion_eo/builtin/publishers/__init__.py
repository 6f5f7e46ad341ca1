"""The publishers."""
