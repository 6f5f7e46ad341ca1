from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from indexed import write_pictures

from laion_eo.builtin.retrievers.pool_record import (
    IndexArguments,
    PoolAbout,
    PoolRecord,
    decode,
    read_about,
)
from laion_eo.builtin.retrievers.storage import Folder
from laion_eo.cli import cli
from laion_eo.errors import DataError
from laion_eo.file_record import FileRecord
from laion_eo.registry import Registry
from laion_eo.testing import colours


def file(path: str, rows: int) -> FileRecord:
    return FileRecord(path=path, bytes=9, sha256="0" * 64, rows=rows)


def record(**values: object) -> PoolRecord:
    files = [
        file("img_emb/img_emb_0.npy", 7),
        file("metadata/metadata_0.parquet", 7),
        file("skipped/skipped_0.parquet", 2),
    ]
    known = {"model_id": "m", "dim": 4, "rows": 7, "skipped": 2, "complete": True, "files": files}
    return PoolRecord.model_validate({**known, **values})


@pytest.mark.parametrize("complete", [True, False])
def test_what_is_written_is_read(complete: bool) -> None:
    asked = IndexArguments(pool="/a", embedder={"use": "tiny"})
    mine = record(complete=complete, index=asked, weights_sha256="ab", scale=0.5, odd=None)
    assert decode(mine.encode()) == mine
    about = json.loads(mine.encode())
    assert (about["model_id"], about["rows"], about["scale"]) == ("m", 7, 0.5)


def test_any_other_byte_is_noticed() -> None:
    """Of one that was written, no byte can be replaced by another; blanks do not count."""
    content = record().encode()
    for place, old in enumerate(content):
        changed = content[:place] + bytes([old ^ 1]) + content[place + 1 :]
        with pytest.raises(ValueError, match=r"."):
            decode(changed)
    assert decode(content.replace(b"\n ", b"\n  ")) == record()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["model_id", "dim", "rows", "files", "complete", "checksum", "x"]),
                inner,
                max_size=7,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read_or_refused(value: object) -> None:
    try:
        found = decode(json.dumps(value).encode())
    except ValueError as error:
        assert str(error)
    else:
        assert not isinstance(found, PoolRecord)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "it is not an object of JSON"),
        ("", "it is not JSON: "),
        ('{"model_id": 3}', "model_id: Input should be a valid string"),
        ('{"dim": 1e999}', "dim: "),
        ('{"before_re_laion": "perhaps"}', "before_re_laion: "),
        ('{"checksum": 3}', "its content has changed"),
        ('{"complete": true, "files": []}', "its content has changed"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"dim": ' + "9" * 5000 + "}", "Exceeds the limit"),
    ],
)
def test_what_is_no_record(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(
        DataError, match=r"index\.json: not a pool's index\.json, or damaged: "
    ) as caught:
        read_about(Folder(str(tmp_path)))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_third_party_says_what_it_likes(tmp_path: Path) -> None:
    assert read_about(Folder(str(tmp_path))) is None
    text = '{"model_id": "theirs", "rows": "many", "files": "some", "dim": "16", "x": [NaN]}'
    (tmp_path / "index.json").write_text(text)
    found = read_about(Folder(str(tmp_path)))
    assert type(found) is PoolAbout
    assert (found.model_id, found.dim) == ("theirs", 16)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rows": 8}, "8 rows and 2 skipped, but files of"),
        ({"skipped": 0}, "7 rows and 0 skipped, but files of"),
        ({"files": [*record().files, file("img_emb/img_emb_0.npy", 0)]}, "a file is named twice"),
        ({"dim": 0}, "greater than or equal to 1"),
        ({"rows": -7}, "greater than or equal to 0"),
    ],
)
def test_counts_that_do_not_fit(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        record(**values)


@pytest.mark.parametrize(
    ("embedder", "prefix", "command"),
    [
        ({"use": "tiny"}, None, "laion-eo index /a/b --out /c --embedder tiny"),
        (
            {"use": "open-clip", "model": "ViT-B-32", "half": True, "token": {"env": "HF_TOKEN"}},
            "http://h/",
            "laion-eo index /a/b --out /c --embedder open-clip --set model=ViT-B-32 "
            "--set half=true --set token.env=HF_TOKEN --url-prefix http://h/",
        ),
        (
            {"use": "x", "name": "3", "sizes": [1, 2], "text": "it's"},
            None,
            "laion-eo index /a/b --out /c --embedder x --set 'name=\"3\"' --set 'sizes=[1, 2]' "
            "--set 'text=it'\"'\"'s'",
        ),
    ],
)
def test_the_command_that_finishes_it(
    embedder: dict[str, object], prefix: str | None, command: str
) -> None:
    asked = IndexArguments.model_validate(
        {"pool": "/a/b", "embedder": embedder, "url_prefix": prefix}
    )
    assert record(index=asked).command("/c") == command
    assert record().command("/c") == "laion-eo index ... --out /c"


def test_the_command_can_be_given_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    discover = Registry.discover
    monkeypatch.setattr(Registry, "discover", lambda: discover([colours]))
    monkeypatch.chdir(write_pictures(tmp_path / "my pictures", 3))
    args = [
        "index",
        ".",
        "--out",
        "../my pool",
        "--embedder",
        "colours",
        "--url-prefix",
        "http://h",
    ]
    assert CliRunner().invoke(cli, args).exit_code == 0
    pool = tmp_path / "my pool"
    before = (pool / "index.json").read_bytes()
    mine = decode(before)
    assert isinstance(mine, PoolRecord)
    (pool / "index.json").write_bytes(mine.changed(complete=False, files=()).encode())
    monkeypatch.chdir(tmp_path)
    words = shlex.split(mine.command(str(pool)))
    assert words[:2] == ["laion-eo", "index"]
    done = CliRunner().invoke(cli, words[1:])
    assert done.exit_code == 0, done.output
    assert (pool / "index.json").read_bytes() == before
