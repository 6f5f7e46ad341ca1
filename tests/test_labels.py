from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from laion_eo.errors import DataError
from laion_eo.labels import Label, labelled, read_labels, taught, write_labels


def read(tmp_path: Path, text: str | bytes) -> tuple[Label, ...]:
    path = tmp_path / "labels.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_labels(path)


def test_the_columns_of_a_file_by_hand(tmp_path: Path) -> None:
    found = read(tmp_path, "ID, Label ,kind\n7,1,river\n8,0,\n9,,\n")
    assert [(one.id, one.label, one.kind) for one in found] == [
        (7, True, "river"), (8, False, ""), (9, None, ""),
    ]  # fmt: skip
    assert labelled(found) == {7: True, 8: False}


@pytest.mark.parametrize(
    "text", ["id;label\n7;1\n", "\ufeffid,label\r\n7,1\r\n", "id,label\n7.0,1.0\n"]
)
def test_what_spreadsheets_write(tmp_path: Path, text: str) -> None:
    assert labelled(read(tmp_path, text)) == {7: True}


def test_a_label_twice_is_one(tmp_path: Path) -> None:
    found = read(tmp_path, "id,label,stratum,stratum_rows,plan\n7,1,,,\n7,,kept 1/4,90,a\n")
    assert labelled(found) == {7: True}
    assert found[0].stratum_rows == 90


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column 'id'"),
        ("id,labels\n1,1\n", "no column 'label'"),
        ("id,id,label\n1,1,1\n", "a column is there twice"),
        ("id,label\n1,maybe\n", "line 2: 1 or 0 wanted as the label, or nothing; got 'maybe'"),
        ("id,label\nx,1\n", "line 2: a whole number wanted as the id, got 'x'"),
        ("id,label\n-1,1\n", "a whole number wanted as the id"),
        ("id,label\n" + "9" * 30 + ",1\n", "a whole number wanted as the id"),
        (
            "id,label\n1,1\n2,0\n1,0\n",
            "line 4: the image 1 has the label 0 here, and another in line 2",
        ),
        ("id,label\n1,1,2\n", "line 2: more cells than columns"),
        (b"id,label\n\xff,1\n", "not a table of labels"),
        ('id,label\n"1,1\n', "not a table of labels"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)
    assert str(tmp_path / "labels.csv") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file of labels: `laion-eo evaluate RUN --plan"):
        read_labels(tmp_path / "labels.csv")
    with pytest.raises(DataError, match="no file of labels"):
        read_labels(tmp_path)


def test_writing_keeps_every_column(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("id,label,kind,by\n7,1,map,Ada\n")
    more = Label(8, plan="ab", stratum="kept 1/2", stratum_rows=30)
    write_labels(path, [*read_labels(path), more])
    head, first, second = path.read_text().splitlines()
    assert head == "id,label,kind,note,labelled_at,plan,stratum,stratum_rows,by"
    assert (first, second) == ("7,1,map,,,,,,Ada", "8,,,,,ab,kept 1/2,30,")
    assert [one.is_sampled for one in read_labels(path)] == [False, True]


def test_a_sample_is_held_out_where_the_others_are_enough() -> None:
    sample = [Label(i, bool(i % 2), stratum="kept 1/1", stratum_rows=9) for i in range(4)]
    others = [Label(10, True), Label(11, False)]
    assert taught([*sample, *others]) == (tuple(others), tuple(sample))
    assert taught([*sample, others[0]]) == ((*sample, others[0]), ())
    assert taught([replace(others[0], label=None)]) == ((), ())
