"""Anchor source ``cloudsen12``: the paper's anchors (section 2.1), in the dataset's three layouts.

==================  ===================================================================
``geotiff`` (v1)    ``cloudsen12_metadata.csv``, ``{label_type}/{roi_id}/{s2_id_gee}/S2L2A.tif``
``memmap`` (v1.1)   ``{split}/metadata.csv``, ``{split}/L2A_B4.dat`` …: int16, (n, 512, 512)
``mlstac`` (+)      ``{split}/metadata.parquet``, ``{split}/{split}_509_{label_type}.mlstac``
==================  ===================================================================
"""

from __future__ import annotations

from laion_eo.builtin.anchor_sources.cloudsen12.source import CloudSEN12

__all__ = ["CloudSEN12"]
