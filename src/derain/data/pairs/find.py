"""Rainy and clean pictures of the same scene, found in a folder of any published layout.

`find_pairs(folder)` looks at names and file headers only; `Pair.load()` decodes. What has no partner, cannot be read or differs
in size is listed as a problem and is never dropped silently or resized.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

import numpy as np
from PIL import Image

from derain.data.pairs import file_names
from derain.data.pairs.list_files import is_pair_list, read_pair_list
from derain.data.pairs.name_index import CleanIndex, split_by_name
from derain.data.pairs.pair import CleanSide, Image8, Pair, displayed_size
from derain.data.pairs.side_by_side import detect_clean_half
from derain.errors import DataError, DerainError
from derain.files.messages import listing_error
from derain.files.paths import exists, is_file, walk

__all__ = ["IGNORED", "LAYOUTS", "Image8", "Pair", "PairSet", "Problem", "find_pairs", "sample"]

LAYOUTS = {
    "folders": "two folders with the same names in them (rainy and clean, input and target, rain and norain, ...)",
    "names": "both sides told apart by name (rain-001.png and norain-001.png, 001_in.png and 001_GT.png)",
    "one-to-many": "one clean picture for many rainy ones (901.jpg, and 901_1.jpg to 901_14.jpg)",
    "clean-left": "both sides in one file, the clean one on the left (Rain800)",
    "clean-right": "both sides in one file, the clean one on the right (Rain1200)",
    "list": "a text file with a rainy and a clean path on each line (SPA-Data)",
}

IGNORED = "masks, streaks, or not in the list"
"""What the ignored pictures of a set are."""

_Sided = tuple[Path, file_names.Side | None]


@dataclass(frozen=True)
class Problem:
    """A file that is in no pair, and why."""

    path: Path
    fact: str
    is_whole: bool = False
    """Nothing is wrong with this file: its partner, which has a problem of its own, cannot be read."""

    def __str__(self) -> str:
        return f"{self.path}: {self.fact}"


@dataclass(frozen=True)
class PairSet:
    """Everything that was found in a folder. Each picture file in it is in `pairs`, in `problems` or in `ignored`."""

    folder: Path
    layout: str
    """A key of LAYOUTS; several, joined by `, `, where subfolders differ."""
    pairs: list[Pair] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    ignored: list[Path] = field(default_factory=list)
    """Masks, streak layers, and pictures that a list file leaves out of the folders that it names."""
    source: Path | None = None
    """The list file in whose place `folder` is the one that it lies in."""

    @property
    def origin(self) -> Path:
        """The folder or the list file that was asked for."""
        return self.source or self.folder

    def __len__(self) -> int:
        return len(self.pairs)


def find_pairs(folder: str | os.PathLike[str], *, layout: str | None = None) -> PairSet:
    """Find the pairs in `folder` and below it, or those that a list file (given in its place) names.

    The layout is recognised for each subfolder (train, test, ...) by itself; `layout`, a key of LAYOUTS, settles it for all.
    Raises DataError if there is no such folder, no such layout or no pair.
    """
    root = Path(folder)
    if layout is not None and layout not in LAYOUTS:
        raise DataError(f"{layout}: no such layout; choose one of {', '.join(LAYOUTS)}")
    if not exists(root):
        raise DataError(
            f"{root}: no such folder that this user may look into; give the folder that holds the rainy and the clean pictures"
        )
    if is_file(root):
        result = replace(_Finder(root.parent, pictures=(), lists=(root,)).run("list"), source=root)
    else:
        result = _Finder(root, *_walk(root)).run(layout)
    if not result.pairs:
        raise DataError(_no_pairs(result))
    return result


def _walk(root: Path) -> tuple[list[Path], list[Path]]:
    """All picture files and all list files below `root`, in natural order. Raises DataError for a folder that is shut."""
    pictures, lists = [], []

    def refuse(error: OSError) -> None:
        raise DataError(listing_error(error))

    for directory, files in walk(root, onerror=refuse, key=file_names.natural):
        for name in files:
            path = Path(directory, name)
            if file_names.is_picture(path):
                pictures.append(path)
            elif path.suffix.lower() == ".txt" and is_pair_list(path):
                lists.append(path)
    return pictures, lists


class _Finder:
    """Sorts the files of one folder into pairs, problems and ignored ones."""

    def __init__(self, root: Path, pictures: Sequence[Path], lists: Sequence[Path]) -> None:
        self.root, self.pictures, self.lists = root, pictures, lists
        self.pairs: list[Pair] = []
        self.problems: list[Problem] = []
        self.layouts: dict[str, None] = {}  # an ordered set
        self._sizes: dict[Path, tuple[int, int] | None] = {}

    def run(self, layout: str | None) -> PairSet:
        ignored: list[Path] = []
        rest = list(self.pictures)
        if layout == "list" or (layout is None and self.lists):
            settled = self._settled_by(self._from_lists(), whole=layout == "list")
            ignored = [path for path, listed in settled.items() if not listed]
            rest = [path for path in rest if path not in settled]
        groups: dict[tuple[str, ...], list[_Sided]] = defaultdict(list)
        for path in rest:
            relative = path.relative_to(self.root)
            if file_names.is_other(relative):
                ignored.append(path)
                continue
            side, group = file_names.side_by_folder(relative)
            groups[group].append((path, None if layout == "names" else side))
        for group, files in groups.items():
            self._from_group(group, files, layout=layout)
        return PairSet(
            self.root,
            ", ".join(self.layouts) or (layout or "none"),
            self._named_apart(),
            self.problems,
            ignored,
        )

    def _named_apart(self) -> list[Pair]:
        """The pairs; where two would have one name (1.png and 1.jpg), each bears the rainy file's whole path."""
        count = Counter(pair.name for pair in self.pairs)

        def whole(path: Path) -> str:
            return (
                path.relative_to(self.root) if path.is_relative_to(self.root) else path
            ).as_posix()

        return [
            pair if count[pair.name] == 1 else replace(pair, name=whole(pair.rainy_path))
            for pair in self.pairs
        ]

    def _from_group(
        self,
        group: tuple[str, ...],
        files: Sequence[tuple[Path, file_names.Side | None]],
        *,
        layout: str | None,
    ) -> None:
        paths = [path for path, _ in files]
        if layout in ("clean-left", "clean-right"):
            self._from_halves(
                group, paths, clean_side="left" if layout == "clean-left" else "right"
            )
            return
        rainy = [path for path, side in files if side == "rainy"]
        clean = [path for path, side in files if side == "clean"]
        unsaid = [path for path, side in files if side is None]
        by_folder = bool(rainy and clean)
        if not by_folder and not unsaid and layout is None:
            rainy, clean, unsaid = (
                [],
                [],
                paths,
            )  # a folder merely called `rain` or `data`: let the names speak
        if unsaid and layout != "folders":
            named_rainy, named_clean, unsaid = split_by_name(unsaid, many=not by_folder)
            rainy, clean = [*rainy, *named_rainy], [*clean, *named_clean]
        if rainy and not clean:
            clean, unsaid = unsaid, []  # 901.jpg beside a folder rainy/
        if layout is None and not (rainy and clean) and (side := detect_clean_half(paths)):
            self._from_halves(group, paths, clean_side=side)
            return
        self._match(group, rainy, clean, label="folders" if by_folder else "names")
        self.problems += [
            Problem(path, "neither its folder nor its name says whether it is rainy or clean")
            for path in unsaid
        ]

    def _match(
        self, group: tuple[str, ...], rainy: Sequence[Path], clean: Sequence[Path], *, label: str
    ) -> None:
        partners, taken = CleanIndex(clean), defaultdict(list)
        for path in rainy:
            candidates = partners.of(path)
            if len(candidates) == 1:
                taken[candidates[0]].append(path)
            elif candidates:
                names = ", ".join(candidate.name for candidate in candidates)
                self.problems.append(Problem(path, f"more than one clean picture fits it: {names}"))
            else:
                self.problems.append(Problem(path, "no clean picture has its name"))
        self.problems += [
            Problem(path, "no rainy picture has its name") for path in clean if path not in taken
        ]
        if any(len(many) > 1 for many in taken.values()):
            label = "one-to-many"
        pairs = {path: clean_path for clean_path, many in taken.items() for path in many}
        for path in rainy:
            if path in pairs and self._add(group, path, pairs[path]):
                self.layouts[label] = None

    def _add(self, group: tuple[str, ...], rainy: Path, clean: Path) -> bool:
        size, clean_size = self._size(rainy), self._size(clean)
        if size is None or clean_size is None:
            if size is not None:
                self.problems.append(
                    Problem(rainy, f"its clean picture {clean.name} cannot be read", is_whole=True)
                )
            elif clean_size is not None:
                self.problems.append(
                    Problem(clean, f"its rainy picture {rainy.name} cannot be read", is_whole=True)
                )
            return False
        if size != clean_size:
            fact = f"is {size[0]}x{size[1]}, but its clean picture {clean.name} is {clean_size[0]}x{clean_size[1]}"
            self.problems.append(Problem(rainy, fact))
            return False
        self.pairs.append(Pair("/".join((*group, rainy.stem)), rainy, clean, size))
        return True

    def _from_halves(
        self, group: tuple[str, ...], paths: Iterable[Path], *, clean_side: CleanSide
    ) -> None:
        for path in paths:
            if (size := self._size(path)) is None:
                continue
            if size[0] % 2:
                self.problems.append(
                    Problem(
                        path, f"is {size[0]} pixels wide, which does not part into two equal halves"
                    )
                )
                continue
            half = (size[0] // 2, size[1])
            self.pairs.append(Pair("/".join((*group, path.stem)), path, path, half, clean_side))
            self.layouts[f"clean-{clean_side}"] = None

    def _from_lists(self) -> set[Path]:
        """Add the pairs of every list file, and return all files that they name."""
        listed: set[Path] = set()
        first: dict[tuple[Path, Path], str] = {}
        for path in self.lists:
            for line in read_pair_list(path, root=self.root):
                both = line.rainy.resolve(), line.clean.resolve()
                listed |= {*both}
                if both in first:
                    self.problems.append(
                        Problem(
                            path,
                            f"its line {line.number} repeats {first[both]}; take one of them out",
                        )
                    )
                    continue
                first[both] = f"line {line.number} of {path.name}"
                missing = [side for side in (line.rainy, line.clean) if not is_file(side)]
                self.problems += [
                    Problem(side, f"is named in line {line.number} of {path.name} but is not there")
                    for side in missing
                ]
                inside = line.rainy.is_relative_to(self.root)
                relative: PurePath = (
                    line.rainy.relative_to(self.root) if inside else PurePath(line.rainy.name)
                )
                if not missing and self._add(relative.parts[:-1], line.rainy, line.clean):
                    self.layouts["list"] = None
        return listed

    def _settled_by(self, listed: set[Path], *, whole: bool) -> dict[Path, bool]:
        """The pictures on which the list files have the word, and whether they name them.

        These are all in the folders from which a list names a picture, and below them; with `whole`, all that there are.
        """
        folders = {path.parent for path in listed}
        settled = {}
        for path in self.pictures:
            real = path.resolve()
            if whole or real in listed or not folders.isdisjoint(real.parents):
                settled[path] = real in listed
        return settled

    def _size(self, path: Path) -> tuple[int, int] | None:
        """Width and height as displayed, from the header; None, and a problem the first time, if there is none."""
        if path not in self._sizes:
            try:
                self._sizes[path] = displayed_size(path)
            except (
                OSError,
                ValueError,
                SyntaxError,
                Image.DecompressionBombError,
                DerainError,
            ) as error:
                self._sizes[path] = None
                self.problems.append(Problem(path, f"cannot be read ({error})"))
        return self._sizes[path]


def _no_pairs(result: PairSet) -> str:
    count = len(result.problems) + len(result.ignored)
    first = f" (the first: {result.problems[0]})" if result.problems else ""
    layouts = ", ".join(f"`{name}`" for name in LAYOUTS)
    return (
        f"{result.origin}: no pair among {count} pictures{first}; put rainy and clean pictures of the same names into folders "
        f"`rainy` and `clean`, or name the layout, one of {layouts} (docs/data.md shows each)"
    )


def sample(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """At most `count` pairs, drawn without replacement, the same each time and in their order.

    Every n-th pair would be of a few kinds of rain only, where each background has the same kinds.
    """
    drawn = np.random.default_rng(0).choice(len(pairs), min(count, len(pairs)), replace=False)
    return [pairs[index] for index in sorted(drawn)]
