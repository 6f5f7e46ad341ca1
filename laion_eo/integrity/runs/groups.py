"""The groups of copies that the filter ``duplicates`` writes beside the tables."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from laion_eo.builtin.filters.duplicates import GROUPS, Duplicates
from laion_eo.integrity.findings import Findings
from laion_eo.integrity.runs.records import Recorded
from laion_eo.integrity.tables import read_whole
from laion_eo.registry import BUILTIN

_KEPT_ID = re.compile(r"\bid (\d+)$")


def kept_copy(reason: str | None) -> int | None:
    """Return the id that the reason of a duplicate names: that of the copy which was kept."""
    found = _KEPT_ID.search(reason or "")
    return int(found[1]) if found else None


def check_groups(findings: Findings, verdicts: pa.Table | None, recorded: Recorded) -> None:
    """Compare the groups with the reasons that the verdicts give; no record vouches for them.

    Args:
        findings: Where faults go.
        verdicts: The table of verdicts, if it is undamaged.
        recorded: What the records say.
    """
    path = findings.root / GROUPS
    manifest = recorded.manifest
    if verdicts is None or manifest is None or path.is_symlink():
        return
    name = Duplicates.name
    uses = sum(choice.use == name for choice in manifest.resolved.filters)
    owner = manifest.components.get("filter", {}).get(name)
    if not uses or (owner is not None and owner.plugin != BUILTIN):
        if path.exists():
            findings.note(f"{GROUPS}: an earlier run of other filters left it")
        return
    if not path.is_file():
        if not path.exists():
            findings.note(f"{GROUPS}: it is gone; no step needs it")
        return
    table = read_whole(findings, path, None)
    if table is None:
        return
    findings.checked(path.stat().st_size)
    dropped = verdicts.filter(pc.equal(verdicts["filter"], name)).to_pylist()
    wanted = {(kept_copy(row["reason"]), row["id"]) for row in dropped}
    if not {"group", "id"} <= set(table.column_names):
        findings.fault(path, "it does not have the columns 'group' and 'id'")
        return
    found = set(zip(table["group"].to_pylist(), table["id"].to_pylist(), strict=True))
    # Each filter of that name writes the file anew: it holds what the last one dropped.
    same = found == wanted if uses == 1 else found <= wanted
    if not same or len(found) != table.num_rows:
        findings.fault(
            path, "its groups are not those of the verdicts; no step needs it: delete it"
        )
