"""What a disk may hold after a power loss.

A file keeps what it held at its last fsync; what was written since may be there, or be lost, cut,
zeroed or flipped. A folder keeps the entries of its last fsync; each that was made, renamed or
removed since may or may not have reached the disk. A rename is there whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from random import Random

from crash.inside import crash_recorder

DAMAGES = ("emptied", "cut", "zeroed", "zero-tailed", "flipped")


def damaged(content: bytes, how: str, rng: Random) -> bytes:
    """Return a file's content after some damage; of an empty one, nothing."""
    if not content or how == "emptied":
        return b""
    place = rng.randrange(len(content))
    if how == "cut":
        return content[:place]
    if how == "zeroed":
        return bytes(len(content))
    if how == "zero-tailed":
        return content[:place] + bytes(len(content) - place)
    return (
        content[:place] + bytes([content[place] ^ (1 << rng.randrange(8))]) + content[place + 1 :]
    )


class Disk:
    """The disk beneath a folder that a command wrote to, watched from its beginning.

    Args:
        root: The folder.
        shadow: Where the recorder takes its notes; made here.
    """

    def __init__(self, root: Path, shadow: Path) -> None:
        self.root, self._shadow = root, shadow
        crash_recorder.make_shadow(shadow)
        root.mkdir(exist_ok=True)
        crash_recorder.note_all(root, shadow)

    @property
    def variables(self) -> dict[str, str]:
        """What makes a child take the notes."""
        return {"CRASH_WATCH": str(self.root), "CRASH_SHADOW": str(self._shadow)}

    def lose_power(
        self, rng: Random, contents_lost: float = 1.0, entries_lost: float = 1.0, how: str = ""
    ) -> dict[str, str]:
        """Put into the folder's place what the disk holds.

        Args:
            rng: Chooses what is lost.
            contents_lost: Probability that a file loses what could be lost of it.
            entries_lost: Probability that a change of a folder's entries is lost, where it can be.
            how: What becomes of contents; one of :data:`DAMAGES` by chance, if empty.

        Returns:
            What became of the files that are no longer as they were, by path.
        """
        before = contents(self.root)
        aside = self.root.with_name(f"{self.root.name}-after")
        lost = (contents_lost, entries_lost)
        _Rebuilt(self.root, self._shadow, rng, lost, how).folder(self.root, aside)
        shutil.rmtree(self.root)
        aside.rename(self.root)
        return changes(before, contents(self.root))


class _Rebuilt:
    """One power loss: every thing that could be lost is, or is not, once and for all."""

    def __init__(
        self, root: Path, shadow: Path, rng: Random, lost: tuple[float, float], how: str
    ) -> None:
        self._shadow, self._rng, self._how = shadow, rng, how
        self._contents_lost, self._entries_lost = lost
        everything = [*(shadow / "gone").rglob("*"), root, *root.rglob("*")]
        self._where = {path.lstat().st_ino: path for path in everything}
        self._fates: dict[int, bool] = {}

    def _lost(self, number: int) -> bool:
        """Tell whether what happened to an entry since its folder's fsync is lost."""
        if number not in self._fates:
            self._fates[number] = self._rng.random() < self._entries_lost
        return self._fates[number]

    def folder(self, path: Path, into: Path) -> None:
        """Write what the disk holds of a folder."""
        into.mkdir()
        notes = self._shadow / "folders" / str(path.stat().st_ino)
        then: dict[str, int] = json.loads(notes.read_text()) if notes.is_file() else {}
        now = {entry.name: entry.inode() for entry in os.scandir(path)}
        for name in sorted({*then, *now}):
            number = self._entry(name, then, now)
            if number in self._where:
                self._write(self._where[number], into / name)

    def _entry(self, name: str, then: dict[str, int], now: dict[str, int]) -> int | None:
        """Return which inode the disk has under a name."""
        old, new = then.get(name), now.get(name)
        if old == new or (new is not None and not self._lost(new)):
            return new
        # The old one is still there, unless it was itself removed, or renamed, and that is kept.
        moved = old is not None and (new is None or old in now.values())
        return None if moved and not self._lost(old or 0) else old

    def _write(self, source: Path, into: Path) -> None:
        if source.is_symlink():
            into.symlink_to(source.readlink())
        elif source.is_dir():
            self.folder(source, into)
        else:
            into.write_bytes(self._content(source))
            shutil.copystat(source, into)

    def _content(self, path: Path) -> bytes:
        notes = self._shadow / "files" / str(path.stat().st_ino)
        now, then = path.read_bytes(), notes.read_bytes() if notes.is_file() else b""
        if now == then or self._rng.random() >= self._contents_lost:
            return now
        if not now.startswith(then):  # written anew in its place: one or the other
            return then
        how = self._how or self._rng.choice(DAMAGES)
        return then + damaged(now[len(then) :], how, self._rng)


def contents(root: Path) -> dict[str, bytes]:
    """Return the files below a folder by their path."""
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def changes(before: dict[str, bytes], after: dict[str, bytes]) -> dict[str, str]:
    """Return what became of the files that are not as they were."""
    found = dict.fromkeys(before.keys() - after.keys(), "lost")
    found |= dict.fromkeys(after.keys() - before.keys(), "there again")
    both = before.keys() & after.keys()
    return found | {path: "changed" for path in both if before[path] != after[path]}
