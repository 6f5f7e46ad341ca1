from __future__ import annotations

import hashlib
import os
from pathlib import Path

from laion_eo.fingerprint import file_sha256, files_identity, fingerprint


def test_equal_values_share_a_fingerprint_whatever_their_order() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})


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
