"""Which pictures of one group are rainy, and which clean one belongs to each, as far as names tell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from derain.data.pairs import file_names


class CleanIndex:
    """The clean pictures of one group, to be asked which of them belongs to a rainy one."""

    def __init__(self, clean: Sequence[Path]) -> None:
        self.by_stem: dict[str, list[Path]] = defaultdict(list)
        self.by_key: dict[str, list[Path]] = defaultdict(list)
        self.by_scene: dict[str | None, list[Path]] = defaultdict(list)
        for path in clean:
            self.by_stem[path.stem].append(path)
            self.by_key[file_names.scene_key(path.stem)].append(path)
            self.by_scene[file_names.scene_of_frame(path.stem)].append(path)

    def of(self, rainy: Path) -> list[Path]:
        """One path if all is well, several if names are ambiguous, none if it has no partner."""
        key = file_names.scene_key(rainy.stem)
        if found := self.by_stem.get(rainy.stem) or self.by_key.get(key):
            return found
        scene = file_names.scene_of_frame(rainy.stem)
        if scene is not None:
            return self.by_scene.get(scene, [])
        return next(
            (self.by_key[short] for short in file_names.shorter_keys(key) if short in self.by_key),
            [],
        )


def split_by_name(
    paths: Sequence[Path], *, many: bool
) -> tuple[list[Path], list[Path], list[Path]]:
    """Rainy, clean and undecided. With `many`, 901 is clean if 901_1 lies beside it."""
    sides = {path: file_names.side_by_name(path.stem) for path in paths}
    if many and not {"rainy", "clean"} <= set(sides.values()):
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
