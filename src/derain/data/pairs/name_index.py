"""Matching rainy and clean pictures of one group by their names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from derain.data.pairs import file_names


class CleanIndex:
    """An index of the clean pictures of one group, by several parts of their names."""

    def __init__(self, clean: Sequence[Path]) -> None:
        self.by_stem: dict[str, list[Path]] = defaultdict(list)
        self.by_key: dict[str, list[Path]] = defaultdict(list)
        self.by_scene: dict[str | None, list[Path]] = defaultdict(list)
        for path in clean:
            self.by_stem[path.stem].append(path)
            self.by_key[file_names.scene_key(path.stem)].append(path)
            self.by_scene[file_names.scene_of_frame(path.stem)].append(path)

    def find(self, rainy: Path) -> list[Path]:
        """Return the clean pictures that match: none, one, or several if names are ambiguous."""
        key = file_names.scene_key(rainy.stem)
        if matches := self.by_stem.get(rainy.stem) or self.by_key.get(key):
            return matches
        scene = file_names.scene_of_frame(rainy.stem)
        if scene is not None:
            return self.by_scene.get(scene, [])
        return next(
            (self.by_key[short] for short in file_names.shorter_keys(key) if short in self.by_key),
            [],
        )


def split_by_name(
    paths: Sequence[Path], *, one_to_many: bool
) -> tuple[list[Path], list[Path], list[Path]]:
    """Return rainy, clean and undecided paths.

    With `one_to_many`, 901 is clean if the same group has 901_1.
    """
    sides = {path: file_names.side_by_name(path.stem) for path in paths}
    if one_to_many and not {"rainy", "clean"} <= set(sides.values()):
        stems = {path.stem for path in paths}
        heads = {
            path: next((head for head in file_names.shorter_keys(path.stem) if head in stems), None)
            for path in paths
        }
        used = {head for head in heads.values() if head is not None}
        sides = {
            path: "clean" if path.stem in used else "rainy" if heads[path] is not None else None
            for path in paths
        }
    rainy, clean, undecided = (
        [path for path in paths if sides[path] == side] for side in ("rainy", "clean", None)
    )
    return rainy, clean, undecided
