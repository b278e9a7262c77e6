"""The contents of a folder of pairs: pairs, problems and ignored files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from derain.data.pairs.pair import Pair

LAYOUTS = {
    "folders": "two folders with the same file names (rainy and clean, input and target, ...)",
    "names": "sides marked in the file names (rain-001.png and norain-001.png, 001_GT.png, ...)",
    "one-to-many": "one clean picture for many rainy ones (901.jpg, and 901_1.jpg to 901_14.jpg)",
    "clean-left": "both sides in one file, the clean one on the left (Rain800)",
    "clean-right": "both sides in one file, the clean one on the right (Rain1200)",
    "list": "a text file with a rainy and a clean path on each line (SPA-Data)",
}
IGNORED_KINDS = "masks, streaks, or not in the list"
"""Kinds of pictures that a set ignores."""


@dataclass(frozen=True)
class Problem:
    """A file without a pair, or with a faulty one, and the reason."""

    path: Path
    reason: str
    is_intact: bool = False
    """True if this file is intact, but the other side of its pair cannot be read."""

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True)
class PairSet:
    """The contents of a folder. Every picture is in `pairs`, in `problems` or in `ignored`."""

    folder: Path
    layout: str
    """A key of LAYOUTS; several, joined by `, `, if subfolders differ."""
    pairs: list[Pair] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    ignored: list[Path] = field(default_factory=list)
    """Masks, streak layers, and pictures that a list file does not name."""
    list_file: Path | None = None
    """The list file, if one was given instead of a folder; `folder` is then its folder."""

    @property
    def origin(self) -> Path:
        """The folder or list file that was searched."""
        return self.list_file or self.folder

    def __len__(self) -> int:
        return len(self.pairs)


def sample_pairs(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """Return at most `count` pairs, in order: a random sample with a fixed seed.

    A fixed step would pick only some kinds of rain in sets that repeat a cycle of kinds.
    """
    drawn = np.random.default_rng(0).choice(len(pairs), min(count, len(pairs)), replace=False)
    return [pairs[index] for index in sorted(drawn)]
