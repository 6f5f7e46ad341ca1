"""Write which pictures the tiny embedder was not trained on, for measures of quality.

    python training/held_out.py --miniweb DIR [--cache DIR] [--out FILE]

One line for each picture of the validation and test splits: its key, and the key of its group (see
`tiny_data.py`); of a group, one picture is enough. The list is kept beside the weights because the
groups come from features, whose last digits another processor can change.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

import tiny_data
import tiny_features

HELD_OUT = Path(__file__).with_name("held_out.csv")


def main() -> None:
    """Read the pictures, group them, and write the list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--miniweb", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="folder of the features")
    parser.add_argument("--out", type=Path, default=HELD_OUT)
    arguments = parser.parse_args()
    pictures = tiny_data.read_pictures(arguments.miniweb)
    with tempfile.TemporaryDirectory() as temporary:
        cache = arguments.cache or Path(temporary)
        features = tiny_features.image_features(pictures, arguments.miniweb, 0, cache)
    groups = tiny_data.group_keys(pictures, features)
    with arguments.out.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("key", "group"))
        writer.writerows(
            (picture.key, group)
            for picture, group in zip(pictures, groups, strict=True)
            if tiny_data.split_of(group) != "train"
        )


if __name__ == "__main__":
    main()
