"""Outputs of other programs: files that are matched by name and scored without changes."""

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
    """Make a candidate of files that another program wrote; `files` are by sample name."""

    def read(sample: Sample, _: Image | None) -> Image | None:
        path = files.get(sample.name)
        return None if path is None else read_opaque(path)

    return read


def read_opaque(path: Path) -> Image:
    """Return the pixels of a file, (H, W, 3) uint8 or uint16.

    Raises DataError for transparent pixels.
    """
    pixels, alpha = read_with_alpha(path)
    if alpha is not None and alpha.min() < np.iinfo(alpha.dtype).max:
        raise DataError(
            f"{path}: has transparent pixels, which cannot be scored; save it without transparency"
        )
    return pixels


def match_to_samples(folder: Path, samples: Sequence[Sample]) -> tuple[dict[str, Path], Matching]:
    """Find the file in `folder` for each sample.

    Returns the files by sample name, and how the names were matched. Raises DataError.
    """
    files = picture_files(folder)
    names = [sample.name for sample in samples]
    matching = match(list(files), names)
    if not matching.matches:
        raise DataError(_no_match(folder, list(files), names, matching))
    return {item.name: files[item.output] for item in matching.matches}, matching


def match_to_clean(
    folders: Mapping[str, Path], clean: Path
) -> tuple[list[Sample], dict[str, dict[str, Path]], dict[str, Matching]]:
    """Find the clean picture for each output; one may serve many outputs (901_1, 901_2 of DDN).

    `folders` are by candidate name. Returns the samples for which any candidate has a picture;
    then, by candidate, the files by sample name, and how the names were matched. Raises DataError.
    """
    scenes = picture_files(clean)
    outputs, matchings = {}, {}
    for name, folder in folders.items():
        outputs[name] = picture_files(folder)
        matchings[name] = match(list(outputs[name]), list(scenes), one_to_many=True)
        if not matchings[name].matches:
            raise DataError(_no_match(folder, list(outputs[name]), list(scenes), matchings[name]))
    matchings = unify_names(matchings)
    files = {
        name: {item.name: outputs[name][item.output] for item in matching.matches}
        for name, matching in matchings.items()
    }
    sample_scenes = {
        item.name: item.scene for matching in matchings.values() for item in matching.matches
    }
    order = {scene: index for index, scene in enumerate(scenes)}
    samples = [
        _clean_sample(name, scenes[scene])
        for name, scene in sorted(sample_scenes.items(), key=lambda item: order[item[1]])
    ]
    return samples, files, matchings


def find_photos(folder: Path) -> list[Sample]:
    """Return the photos below a folder as samples without a clean side.

    Raises DataError if there is no such folder or no photo.
    """
    return [_photo_sample(name, path) for name, path in picture_files(folder).items()]


def find_rain_free(folder: Path) -> list[Sample]:
    """Return the pictures below a folder as samples that are their own clean side.

    Raises DataError if there is no such folder or no picture.
    """
    return [_rain_free_sample(name, path) for name, path in picture_files(folder).items()]


def describe_matching(name: str, matching: Matching) -> list[str]:
    """Report the rule, the number of matches, and the names without a match."""
    count = len(matching.matches)
    pictures = "picture" if count == 1 else "pictures"
    notes = [f"{name}: {count} {pictures} matched; the names are {matching.rule}"]
    if matching.unmatched_outputs:
        notes.append(f"{name}: no clean picture for {join_names(matching.unmatched_outputs)}")
    if matching.unmatched_scenes:
        notes.append(f"{name}: no output for {join_names(matching.unmatched_scenes)}")
    notes += [
        f"{name}: {join_names(outputs)} all match {scene}, so none was scored; keep one of them"
        for scene, outputs in matching.ambiguous.items()
    ]
    return notes


def _clean_sample(name: str, path: Path) -> Sample:
    return Sample(name, lambda: (None, read_opaque(path)))


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
    remedy = (
        "if the folder also has the inputs, select the outputs, "
        "for example with `--outputs 'NAME=DIR/*_fake_B.png'`"
    )
    if matching.ambiguous:
        scene, rivals = next(iter(matching.ambiguous.items()))
        return (
            f"{folder}: several of its pictures match one clean picture "
            f"({join_names(rivals[:3])} match {scene}); {remedy}"
        )
    return (
        f"{folder}: none of its {len(outputs)} names ({join_names(outputs[:3])}) matches any of "
        f"the {len(scenes)} names of the clean pictures ({join_names(scenes[:3])}); "
        f"rename the files to match, or, {remedy}"
    )
