"""Search of a folder for pairs, in any published layout.

`find_pairs(folder)` reads names and file headers only; `Pair.load()` decodes. Pictures without a
partner, unreadable ones and pairs of different size become problems. Nothing is resized or dropped
silently.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from PIL import Image

from derain.data.pairs import file_names
from derain.data.pairs.list_files import is_pair_list, read_pair_list
from derain.data.pairs.name_index import CleanIndex, split_by_name
from derain.data.pairs.pair import CleanSide, Pair, displayed_size
from derain.data.pairs.pair_set import LAYOUTS, PairSet, Problem
from derain.data.pairs.side_by_side import detect_clean_half
from derain.errors import DataError, DerainError
from derain.files.messages import listing_error
from derain.files.paths import exists, is_file, natural_key, walk

_Group = tuple[str, ...]
"""Folders that both pictures of a pair have in common."""
_SidedPath = tuple[Path, file_names.Side | None]
"""A picture, and the side that its folder stands for."""


def find_pairs(folder: str | os.PathLike[str], *, layout: str | None = None) -> PairSet:
    """Find the pairs in `folder` and its subfolders, or those of a list file given instead.

    The layout is detected for each subfolder (train, test, ...) separately; `layout`, a key of
    LAYOUTS, sets it for all. Raises DataError for a missing folder, an unknown layout, and if no
    pair is found.
    """
    root = Path(folder)
    if layout is not None and layout not in LAYOUTS:
        raise DataError(f"{layout}: no such layout; choose one of {', '.join(LAYOUTS)}")
    if not exists(root):
        raise DataError(
            f"{root}: no such folder, or no access; "
            "give the folder that contains the rainy and the clean pictures"
        )
    if is_file(root):
        finder = _Finder(root.parent, pictures=(), lists=(root,))
        result = replace(finder.run("list"), list_file=root)
    else:
        result = _Finder(root, *_list_files(root)).run(layout)
    if not result.pairs:
        raise DataError(_no_pairs(result))
    return result


def _list_files(root: Path) -> tuple[list[Path], list[Path]]:
    """Return all pictures and all list files below `root`, in natural order.

    Raises DataError for a folder that cannot be listed.
    """
    pictures, lists = [], []

    def fail(error: OSError) -> None:
        raise DataError(listing_error(error))

    for directory, names in walk(root, onerror=fail, key=natural_key):
        for name in names:
            path = Path(directory, name)
            if file_names.is_picture(path):
                pictures.append(path)
            elif path.suffix.lower() == ".txt" and is_pair_list(path):
                lists.append(path)
    return pictures, lists


class _Finder:
    """Sorts the files of one folder into pairs, problems and ignored files."""

    def __init__(self, root: Path, pictures: Sequence[Path], lists: Sequence[Path]) -> None:
        self.root, self.pictures, self.lists = root, pictures, lists
        self.pairs: list[Pair] = []
        self.problems: list[Problem] = []
        self.layouts: dict[str, None] = {}  # an ordered set
        self._sizes: dict[Path, tuple[int, int] | None] = {}

    def run(self, layout: str | None) -> PairSet:
        ignored: list[Path] = []
        remaining = list(self.pictures)
        if layout == "list" or (layout is None and self.lists):
            covered = self._covered_by(self._add_lists(), everything=layout == "list")
            ignored = [path for path, is_listed in covered.items() if not is_listed]
            remaining = [path for path in remaining if path not in covered]
        groups: dict[_Group, list[_SidedPath]] = defaultdict(list)
        for path in remaining:
            relative = path.relative_to(self.root)
            if file_names.is_other(relative):
                ignored.append(path)
                continue
            side, group = file_names.side_by_folder(relative)
            groups[group].append((path, None if layout == "names" else side))
        for group, sided_paths in groups.items():
            self._add_group(group, sided_paths, layout=layout)
        return PairSet(
            self.root,
            ", ".join(self.layouts) or (layout or "none"),
            self._uniquely_named(),
            self.problems,
            ignored,
        )

    def _uniquely_named(self) -> list[Pair]:
        """Return the pairs; equal names (1.png and 1.jpg) become the path of the rainy file."""
        count = Counter(pair.name for pair in self.pairs)

        def full_name(path: Path) -> str:
            inside = path.is_relative_to(self.root)
            return (path.relative_to(self.root) if inside else path).as_posix()

        return [
            pair if count[pair.name] == 1 else replace(pair, name=full_name(pair.rainy_path))
            for pair in self.pairs
        ]

    def _add_group(
        self, group: _Group, sided_paths: Sequence[_SidedPath], *, layout: str | None
    ) -> None:
        paths = [path for path, _ in sided_paths]
        if layout in ("clean-left", "clean-right"):
            clean_side: CleanSide = "left" if layout == "clean-left" else "right"
            self._add_halves(group, paths, clean_side=clean_side)
            return
        rainy = [path for path, side in sided_paths if side == "rainy"]
        clean = [path for path, side in sided_paths if side == "clean"]
        undecided = [path for path, side in sided_paths if side is None]
        by_folder = bool(rainy and clean)
        if not by_folder and not undecided and layout is None:
            # One folder that happens to be named `rain` or `data`: decide by file names.
            rainy, clean, undecided = [], [], paths
        if undecided and layout != "folders":
            named_rainy, named_clean, undecided = split_by_name(
                undecided, one_to_many=not by_folder
            )
            rainy, clean = [*rainy, *named_rainy], [*clean, *named_clean]
        if rainy and not clean:
            clean, undecided = undecided, []  # 901.jpg next to a folder rainy/
        if layout is None and not (rainy and clean) and (side := detect_clean_half(paths)):
            self._add_halves(group, paths, clean_side=side)
            return
        self._match(group, rainy, clean, layout="folders" if by_folder else "names")
        self.problems += [
            Problem(path, "neither its folder nor its name shows if it is rainy or clean")
            for path in undecided
        ]

    def _match(
        self, group: _Group, rainy: Sequence[Path], clean: Sequence[Path], *, layout: str
    ) -> None:
        """Match rainy and clean pictures by name and add the pairs, in the order of `rainy`."""
        index = CleanIndex(clean)
        clean_by_rainy: dict[Path, Path] = {}
        for path in rainy:
            candidates = index.find(path)
            if len(candidates) == 1:
                clean_by_rainy[path] = candidates[0]
            elif candidates:
                names = ", ".join(candidate.name for candidate in candidates)
                self.problems.append(Problem(path, f"matches several clean pictures: {names}"))
            else:
                self.problems.append(Problem(path, "no clean picture has its name"))
        uses = Counter(clean_by_rainy.values())
        self.problems += [
            Problem(path, "no rainy picture has its name") for path in clean if path not in uses
        ]
        if max(uses.values(), default=0) > 1:
            layout = "one-to-many"
        for path, clean_path in clean_by_rainy.items():
            if self._add_pair(group, path, clean_path):
                self.layouts[layout] = None

    def _add_pair(self, group: _Group, rainy: Path, clean: Path) -> bool:
        """Add a pair of two files, or a problem; returns True for a pair."""
        size, clean_size = self._read_size(rainy), self._read_size(clean)
        if size is None or clean_size is None:
            if size is not None:
                reason = f"its clean picture {clean.name} cannot be read"
                self.problems.append(Problem(rainy, reason, is_intact=True))
            elif clean_size is not None:
                reason = f"its rainy picture {rainy.name} cannot be read"
                self.problems.append(Problem(clean, reason, is_intact=True))
            return False
        if size != clean_size:
            (width, height), (clean_width, clean_height) = size, clean_size
            clean_text = f"its clean picture {clean.name} is {clean_width}x{clean_height}"
            self.problems.append(Problem(rainy, f"is {width}x{height}, but {clean_text}"))
            return False
        self.pairs.append(Pair("/".join((*group, rainy.stem)), rainy, clean, size))
        return True

    def _add_halves(self, group: _Group, paths: Iterable[Path], *, clean_side: CleanSide) -> None:
        """Add a pair for each file that contains both sides."""
        for path in paths:
            if (size := self._read_size(path)) is None:
                continue
            width, height = size
            if width % 2:
                reason = f"is {width} pixels wide, which cannot be split into equal halves"
                self.problems.append(Problem(path, reason))
                continue
            name = "/".join((*group, path.stem))
            self.pairs.append(Pair(name, path, path, (width // 2, height), clean_side))
            self.layouts[f"clean-{clean_side}"] = None

    def _add_lists(self) -> set[Path]:
        """Add the pairs of every list file; returns all files that the lists name, resolved."""
        listed: set[Path] = set()
        first_line: dict[tuple[Path, Path], str] = {}
        for path in self.lists:
            for line in read_pair_list(path, root=self.root):
                files = line.rainy.resolve(), line.clean.resolve()
                listed.update(files)
                if files in first_line:
                    reason = f"its line {line.number} repeats {first_line[files]}; remove one"
                    self.problems.append(Problem(path, reason))
                    continue
                first_line[files] = f"line {line.number} of {path.name}"
                missing = [side for side in (line.rainy, line.clean) if not is_file(side)]
                self.problems += [
                    Problem(side, f"does not exist, but line {line.number} of {path.name} names it")
                    for side in missing
                ]
                inside = line.rainy.is_relative_to(self.root)
                relative: PurePath = (
                    line.rainy.relative_to(self.root) if inside else PurePath(line.rainy.name)
                )
                if not missing and self._add_pair(relative.parts[:-1], line.rainy, line.clean):
                    self.layouts["list"] = None
        return listed

    def _covered_by(self, listed: set[Path], *, everything: bool) -> dict[Path, bool]:
        """Return the pictures that the list files cover, and whether a list names them.

        A list covers the folders that it names pictures from, and their subfolders; `everything`
        extends that to all pictures.
        """
        folders = {path.parent for path in listed}
        covered = {}
        for path in self.pictures:
            real = path.resolve()
            if everything or real in listed or not folders.isdisjoint(real.parents):
                covered[path] = real in listed
        return covered

    def _read_size(self, path: Path) -> tuple[int, int] | None:
        """Return width and height as displayed; None, with one problem, for an unreadable file."""
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
    """Return the message for a folder without pairs."""
    count = len(result.problems) + len(result.ignored)
    first = f" (first problem: {result.problems[0]})" if result.problems else ""
    layouts = ", ".join(f"`{name}`" for name in LAYOUTS)
    return (
        f"{result.origin}: no pair among {count} pictures{first}; put rainy and clean pictures "
        "with the same names into folders `rainy` and `clean`, "
        f"or set the layout, one of {layouts} (docs/data.md shows each)"
    )
