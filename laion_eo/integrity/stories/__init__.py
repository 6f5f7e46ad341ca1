"""Explains one image of a run, stage by stage."""
