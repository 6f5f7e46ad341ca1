"""What components hand over is checked here, so that a broken one is named and nobody else's."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from laion_eo.component import Component
from laion_eo.errors import RunError
from laion_eo.types import Embeddings, Neighbors


def fail(component: Component, what: str) -> RunError:
    """Return the error that names a component which broke its contract."""
    module = type(component).__module__.partition(".")[0]
    return RunError(f"{component.name!r} (from the package {module!r}) broke its contract: {what}.")


def check_embeddings(component: Component, value: NDArray[np.float32], rows: int) -> Embeddings:
    """Return the embeddings if they are float32, (rows, dim), finite and of length 1.

    Raises:
        RunError: They are not.
    """
    if not isinstance(value, np.ndarray) or value.ndim != 2 or value.shape[0] != rows:
        shape = getattr(value, "shape", type(value).__name__)
        raise fail(component, f"embeddings of shape ({rows}, dim) wanted, got {shape}")
    if value.dtype != np.float32:
        raise fail(component, f"float32 embeddings wanted, got {value.dtype}")
    lengths = np.linalg.norm(value, axis=1)
    if not np.allclose(lengths, 1.0, atol=1e-3):
        worst = lengths[np.argmax(np.abs(lengths - 1.0))] if np.isfinite(lengths).all() else "NaN"
        raise fail(component, f"embeddings of length 1 wanted, got {worst}")
    return value


def check_neighbors(component: Component, value: Neighbors, rows: int, k: int) -> Neighbors:
    """Return the neighbours if they are (rows, k) and each row descends.

    Raises:
        RunError: They are not.
    """
    if not isinstance(value, Neighbors) or value.ids.shape != (rows, k):
        shape = value.ids.shape if isinstance(value, Neighbors) else type(value).__name__
        raise fail(component, f"neighbours of shape ({rows}, {k}) wanted, got {shape}")
    there = value.ids >= 0
    if (there[:, 1:] & ~there[:, :-1]).any():
        raise fail(component, "missing neighbours (id -1) must come last")
    if not np.isfinite(value.scores[there]).all():
        raise fail(component, "scores that are not finite")
    if (value.scores[:, 1:] > value.scores[:, :-1])[there[:, 1:]].any():
        raise fail(component, "scores that do not descend")
    return value


def check_table(component: Component, value: pa.Table, schema: pa.Schema, rows: int) -> pa.Table:
    """Return the table if it has exactly the schema's columns and the number of rows.

    Raises:
        RunError: It has not.
    """
    if not isinstance(value, pa.Table) or value.num_rows != rows:
        got = value.num_rows if isinstance(value, pa.Table) else type(value).__name__
        raise fail(component, f"a table of {rows} rows wanted, got {got}")
    if not value.schema.equals(schema):
        want = ", ".join(f"{f.name}: {f.type}" for f in schema)
        got = ", ".join(f"{f.name}: {f.type}" for f in value.schema)
        raise fail(component, f"the columns ({want}) wanted, got ({got})")
    return value
