"""What other programs wrote: found by name, read as it is, scored like anything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from derain.data.pairs.pair import read_with_alpha
from derain.errors import DataError
from derain.evaluate.metrics import Image
from derain.evaluate.name_matching import Matching, match, picture_files, unify_names
from derain.evaluate.scoring import Candidate, Sample, join_names


def files_candidate(files: Mapping[str, Path]) -> Candidate:
    """Make a candidate of files that another program wrote, by the name of their sample."""

    def read(sample: Sample, _: Image | None) -> Image | None:
        path = files.get(sample.name)
        return None if path is None else read_opaque(path)

    return read


def read_opaque(path: Path) -> Image:
    """The pixels of a file, (H, W, 3) uint8 or uint16. Raises DataError where some are transparent: they have no one colour."""
    pixels, alpha = read_with_alpha(path)
    if alpha is not None and alpha.min() < np.iinfo(alpha.dtype).max:
        raise DataError(
            f"{path}: has transparent pixels, which have no colour to be scored; save it without transparency"
        )
    return pixels


def match_to_samples(folder: Path, samples: Sequence[Sample]) -> tuple[dict[str, Path], Matching]:
    """Find the file in `folder` for each sample: the files by sample name, and how the names were matched. Raises DataError."""
    files = picture_files(folder)
    matching = match(list(files), [sample.name for sample in samples])
    if not matching.matches:
        raise DataError(
            _no_match(folder, list(files), [sample.name for sample in samples], matching)
        )
    return {found.name: files[found.output] for found in matching.matches}, matching


def match_to_clean(
    folders: Mapping[str, Path], clean: Path
) -> tuple[list[Sample], dict[str, dict[str, Path]], dict[str, Matching]]:
    """Find the clean picture for each file that programs wrote; a clean one may serve many (901_1 and 901_2 of DDN).

    `folders` are by candidate name. Returns the samples of which any candidate has a picture, then by candidate the files by
    sample name, and how the names were matched. Raises DataError.
    """
    scenes = picture_files(clean)
    outputs, matchings = {}, {}
    for name, folder in folders.items():
        outputs[name] = picture_files(folder)
        matchings[name] = match(list(outputs[name]), list(scenes), several=True)
        if not matchings[name].matches:
            raise DataError(_no_match(folder, list(outputs[name]), list(scenes), matchings[name]))
    matchings = unify_names(matchings)
    files = {
        name: {found.name: outputs[name][found.output] for found in one.matches}
        for name, one in matchings.items()
    }
    scene_of = {found.name: found.scene for one in matchings.values() for found in one.matches}
    order = {scene: place for place, scene in enumerate(scenes)}
    names = sorted(scene_of, key=lambda name: order[scene_of[name]])
    return (
        [_clean_sample(name, scenes[scene_of[name]], scene_of[name]) for name in names],
        files,
        matchings,
    )


def photos_in(folder: Path) -> list[Sample]:
    """The photos in a folder and below it as samples without a clean side. Raises DataError for none or no folder."""
    return [_photo_sample(name, path) for name, path in picture_files(folder).items()]


def rain_free_pictures_in(folder: Path) -> list[Sample]:
    """The pictures in a folder and below it, each its own clean side. Raises DataError for none or no folder."""
    return [_rain_free_sample(name, path) for name, path in picture_files(folder).items()]


def notes_on(name: str, matching: Matching) -> list[str]:
    """Say what was matched, under which rule, and by name what was not."""
    count = len(matching.matches)
    notes = [
        f"{name}: {count} {'picture' if count == 1 else 'pictures'} matched; the names are {matching.rule}"
    ]
    if matching.left_outputs:
        notes.append(f"{name}: no clean picture found for {join_names(matching.left_outputs)}")
    if matching.left_scenes:
        notes.append(f"{name}: nothing found for the clean {join_names(matching.left_scenes)}")
    notes += [
        f"{name}: {join_names(outputs)} all fit {scene}, so none was scored; keep one of them"
        for scene, outputs in matching.ambiguous.items()
    ]
    return notes


def _clean_sample(name: str, path: Path, scene: str) -> Sample:
    return Sample(name, lambda: (None, read_opaque(path)), scene)


def _photo_sample(name: str, path: Path) -> Sample:
    return Sample(name, lambda: (read_opaque(path), None))


def _rain_free_sample(name: str, path: Path) -> Sample:
    def load() -> tuple[Image, Image]:
        pixels = read_opaque(path)
        return pixels, pixels

    return Sample(name, load)


def _no_match(
    folder: Path, outputs: Sequence[str], scenes: Sequence[str], matching: Matching
) -> str:
    only = "if outputs and inputs lie in one folder, name the outputs, as in `--outputs 'NAME=DIR/*_fake_B.png'`"
    if matching.ambiguous:
        scene, several = next(iter(matching.ambiguous.items()))
        return f"{folder}: several of its pictures fit one clean one ({join_names(several[:3])} fit {scene}); {only}"
    return (
        f"{folder}: none of its {len(outputs)} names ({join_names(outputs[:3])}) fits any of the {len(scenes)} names of the clean "
        f"pictures ({join_names(scenes[:3])}); rename them to those, or, {only}"
    )
