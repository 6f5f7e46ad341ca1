"""Labelled scene folders as anchors: balanced over the classes, diverse within each."""

from __future__ import annotations

from collections.abc import Sequence

from laion_eo.hookspecs import hookimpl
from laion_eo.kinds import AnchorSource


@hookimpl
def laion_eo_anchor_sources() -> Sequence[type[AnchorSource]]:
    """Register the source."""
    from laion_eo_scenes.source import SceneAnchors

    return [SceneAnchors]
