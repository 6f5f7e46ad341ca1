from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from laion_eo.fingerprint import file_sha256, files_identity, fingerprint
from laion_eo.types import JSON


def test_equal_values_share_a_fingerprint_whatever_their_order() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})


PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(st.characters())
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(VALUES)
def test_a_fingerprint_is_stable(value: JSON) -> None:
    assert re.fullmatch("[0-9a-f]{16}", fingerprint(value))
    assert fingerprint(_turned(value)) == fingerprint(value)
    # As a run file or a manifest brings it back.
    assert fingerprint(json.loads(json.dumps(value))) == fingerprint(value)


def _turned(value: JSON) -> JSON:
    """The same value, its tables filled in another order, its lists as tuples."""
    if isinstance(value, dict):
        return {key: _turned(inner) for key, inner in reversed(value.items())}
    return tuple(map(_turned, value)) if isinstance(value, list) else value


@given(VALUES, VALUES)
def test_values_share_a_fingerprint_only_if_their_json_is_one(one: JSON, other: JSON) -> None:
    written = [json.dumps(value, sort_keys=True) for value in (one, other)]
    assert (fingerprint(one) == fingerprint(other)) == (written[0] == written[1])
    assert fingerprint([one]) != fingerprint(one)
    assert fingerprint({"": one}) != fingerprint([one])


def test_the_order_of_a_list_counts_and_a_path_is_its_string() -> None:
    assert fingerprint([1, 2]) != fingerprint([2, 1])
    assert fingerprint(Path("a/b")) == fingerprint("a/b")


def test_files_are_known_by_name_size_and_time(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"one")
    first = files_identity([file])
    assert files_identity([file]) == first
    os.utime(file, ns=(0, 0))
    assert files_identity([file]) != first


def test_file_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    assert file_sha256(tmp_path / "a") == hashlib.sha256(b"one").hexdigest()
