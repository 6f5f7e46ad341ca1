"""Engines: how the shards of a stage are worked through."""
