"""NSFW images and personal data in captions: scorers, and filters on their columns."""

from __future__ import annotations

from collections.abc import Sequence

from laion_eo.hookspecs import hookimpl
from laion_eo.kinds import Filter, Scorer


@hookimpl
def laion_eo_scorers() -> Sequence[type[Scorer]]:
    """Register the scorers; the model's package is imported when a run uses it."""
    from laion_eo_safety.nsfw import Nsfw
    from laion_eo_safety.pii import CaptionPii

    return [Nsfw, CaptionPii]


@hookimpl
def laion_eo_filters() -> Sequence[type[Filter]]:
    """Register the filters on the scorers' columns."""
    from laion_eo_safety.filters import NoCaptionPii, NsfwThreshold

    return [NsfwThreshold, NoCaptionPii]
