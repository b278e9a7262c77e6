"""Matches output files to scenes: `rain-001.png`, `001_derained.png` and `norain-1.jpg` are one.

A whole folder is matched under one rule: the strictest of those that match most. Folders are part
of a name, unless nothing matches with them. A file that matches two scenes, or shares its scene
with another file, is not matched. Positions in a list never count.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from itertools import takewhile
from pathlib import Path

from derain.data.pairs import file_names
from derain.errors import DataError
from derain.files.messages import listing_error
from derain.files.paths import exists, is_file, is_folder, natural_key, walk

_WORD = re.compile(
    "rain|norain|no|rainy|clean|derain|derained|deraining|restored?|results?|out|outputs?|pred|fake|gt|target|in|input|im|img|image"
)
_DOUBLED = re.compile(r"(?<=\d)x2$")  # Rain200 calls the rainy picture of norain-1 norain-1x2
_PART = re.compile(r"\d+([_-]\d+)+")
"""3_1 is first of all part 1 of scene 3, even if all names begin with 3; epoch_2_1 is not."""
_TOKENS = re.compile(r"\d+|[^\W\d_]+")

_WORDS = "words like `rain` and `derained`"
"""The words of `_WORD` in a rule."""

Key = tuple[str, ...]


@dataclass(frozen=True)
class Match:
    """An output and its scene."""

    output: str
    scene: str
    part: str = ""
    """Distinguishes several outputs of one scene (901_3: scene 901, part 3); otherwise empty."""

    @property
    def name(self) -> str:
        """Name of the picture in reports, independent of the program that wrote it."""
        return f"{self.scene}_{self.part}" if self.part else self.scene


@dataclass(frozen=True)
class Matching:
    """Matched and unmatched names; a name is a path below its folder without the suffix."""

    rule: str
    """The rule in words: `the same except for ...`."""
    matches: list[Match] = field(default_factory=list)
    unmatched_outputs: list[str] = field(default_factory=list)
    unmatched_scenes: list[str] = field(default_factory=list)
    ambiguous: dict[str, list[str]] = field(default_factory=dict)
    """Scene -> outputs that all match it; none of them is in `matches`."""


def match(
    outputs: Sequence[str],
    scenes: Sequence[str],
    *,
    one_to_many: bool = False,
    whole_folders: bool = True,
) -> Matching:
    """Match the names of outputs to the names of scenes.

    With `one_to_many`, one clean picture may serve many outputs (901_1 ... 901_14). With
    `whole_folders`, the parts that all names of a folder share may be ignored, and folders if
    nothing matches with them.
    """
    candidates = [
        _match_by_key("the same", outputs, scenes, list),
        _match_by_key("the same", outputs, scenes, lambda names: [_plain(name) for name in names]),
        _match_by_key(f"the same except for {_WORDS} and leading zeros", outputs, scenes, _keys),
    ]
    if whole_folders:
        rule = f"the same except for {_WORDS}, leading zeros, and parts shared by the whole folder"
        candidates.append(_match_by_key(rule, outputs, scenes, _unshared_keys))
    if one_to_many:
        candidates.insert(
            3 if all(map(_PART.fullmatch, outputs)) else len(candidates),
            _match_prefixes(outputs, scenes),
        )
    # `max` takes the first of equals, the strictest; without matches, one that can explain why
    best = max(
        candidates,
        key=lambda matching: (
            len(matching.matches),
            0 if matching.matches else len(matching.ambiguous),
        ),
    )
    if best.matches or not whole_folders:
        return best
    # programs write test/A/1.png to A/1.png or 1.png
    elsewhere = max(_match_elsewhere(outputs, scenes), key=lambda matching: len(matching.matches))
    return elsewhere if elsewhere.matches else best


def _match_elsewhere(outputs: Sequence[str], scenes: Sequence[str]) -> Iterator[Matching]:
    """Match names without the folders that all of them share, and without any folder."""
    ways = {"shared folders": _keys_without_shared_folders, "folders": _keys_of_files}
    for which, make_keys in ways.items():
        rule = f"the same except for {which}, {_WORDS} and leading zeros"
        yield _match_by_key(rule, outputs, scenes, make_keys)


def _keys_without_shared_folders(names: Sequence[str]) -> list[Key]:
    parts = [name.split("/") for name in names]
    levels = zip(*(folders for *folders, _ in parts), strict=False)
    shared = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    return _keys(["/".join(part[shared:]) for part in parts])


def _keys_of_files(names: Sequence[str]) -> list[Key]:
    return _keys([name.rpartition("/")[2] for name in names])


def unify_names(matchings: Mapping[str, Matching]) -> dict[str, Matching]:
    """Give a picture the same name in the matchings of several programs with one clean folder.

    Tries three ways and takes the first one with most names common to all programs: unchanged;
    without numbers that all parts of a program share (the epoch in 901_1_100 and 901_14_100); and
    without parts if a program has one output of each scene.
    """
    ways: list[Callable[[list[Match]], list[Match]]]
    ways = [list, _without_shared_numbers, _without_part]
    candidates = [
        {
            name: replace(matching, matches=way(matching.matches))
            for name, matching in matchings.items()
        }
        for way in ways
    ]
    return max(candidates, key=_count_common_names)


def _count_common_names(matchings: Mapping[str, Matching]) -> int:
    names = [{match.name for match in matching.matches} for matching in matchings.values()]
    return len(set.intersection(*names))


def _without_shared_numbers(matches: list[Match]) -> list[Match]:
    parts = [match.part.split("_") for match in matches]
    if len({len(part) for part in parts}) > 1:
        return matches
    distinct = [i for i in range(len(parts[0])) if len({part[i] for part in parts}) > 1]
    return [
        replace(match, part="_".join(part[i] for i in distinct or [0]))
        for match, part in zip(matches, parts, strict=True)
    ]


def _without_part(matches: list[Match]) -> list[Match]:
    if len({match.scene for match in matches}) < len(matches):
        return _without_shared_numbers(matches)
    return [replace(match, part="") for match in matches]


def picture_files(folder: Path) -> dict[str, Path]:
    """Return the pictures below a folder in natural order: name -> path.

    `folder` may end in a pattern such as `results/*_fake_B.png`, for programs that write inputs and
    outputs to one folder. A name is the path below the folder without its suffix, or with it where
    two files differ only in the suffix. Raises DataError if there is no such folder or no picture.
    """
    pattern = "*"
    if not is_folder(folder) and "*" in folder.name:
        folder, pattern = folder.parent, folder.name
    if not is_folder(folder):
        raise DataError(
            f"{folder}: no such folder, or access denied; give the folder of the pictures"
        )
    files = [
        path
        for path in _files(folder, pattern)
        if file_names.is_picture(path) and not path.name.startswith(".")
    ]
    files.sort(key=lambda path: natural_key(path.relative_to(folder).as_posix()))
    if not files:
        named = "" if pattern == "*" else f" named {pattern}"
        suffixes = ", ".join(sorted(file_names.PAIR_SUFFIXES))
        raise DataError(f"{folder}: contains no picture{named}; derain reads {suffixes}")
    relative = {path: path.relative_to(folder) for path in files}
    stems = Counter(name.with_suffix("") for name in relative.values())
    return {
        (name if stems[name.with_suffix("")] > 1 else name.with_suffix("")).as_posix(): path
        for path, name in relative.items()
    }


def _files(folder: Path, pattern: str) -> Iterator[Path]:
    """Yield the files below a folder whose names match, even if unreadable or dangling links."""

    def refuse(error: OSError) -> None:
        raise DataError(listing_error(error))

    for parent, names in walk(folder, onerror=refuse):
        paths = (Path(parent, name) for name in names if fnmatch(name, pattern))
        yield from (path for path in paths if is_file(path) or not exists(path))


def _plain(name: str) -> str:
    """Ignore case and the two encodings of accents (macOS decomposes them)."""
    return unicodedata.normalize("NFC", name).casefold()


def _key(name: str) -> Key:
    """Drop words for a side or a step, and leading zeros: `Derained/rain-001` -> ("1",)."""
    words = _TOKENS.findall(_DOUBLED.sub("", _without_suffix(_plain(name))))
    tokens = [str(int(word)) if word.isdecimal() else word for word in words]
    return (
        tuple(token for token in tokens if not _WORD.fullmatch(token))
        or tuple(tokens)
        or (_plain(name),)
    )


def _keys(names: Sequence[str]) -> list[Key]:
    return [_key(name) for name in names]


def _unshared_keys(names: Sequence[str]) -> list[Key]:
    """Return keys without the parts that all share: `Rain100L-PReNet-7-x2` -> ("7",).

    Shared words are removed anywhere, shared numbers only at both ends: 2-x2 is picture 2.
    """
    keys = _keys(names)
    bare = _without_shared_words(keys)
    if len(set(bare)) < 2:
        return keys
    shortest = min(map(len, bare))
    head = next((i for i in range(shortest) if len({key[i] for key in bare}) > 1), shortest - 1)
    rest = shortest - head
    tail = next((i for i in range(rest) if len({key[-1 - i] for key in bare}) > 1), rest - 1)
    return [key[head : len(key) - tail] for key in bare]


def _without_shared_words(keys: Sequence[Key]) -> list[Key]:
    """Remove shared words, `901_PReNet_3` -> ("901", "3"), unless a key would become empty."""
    shared = (
        {word for word in set.intersection(*map(set, keys)) if not word.isdecimal()}
        if keys
        else set()
    )
    bare = [tuple(token for token in key if token not in shared) for key in keys]
    return bare if all(bare) else list(keys)


def _without_suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem if dot + suffix in file_names.PAIR_SUFFIXES else name


def _match_by_key(
    rule: str,
    outputs: Sequence[str],
    scenes: Sequence[str],
    make_keys: Callable[[Sequence[str]], Sequence[Hashable]],
) -> Matching:
    """Match names that have the same key; `make_keys` returns the key of each name."""
    output_keys, scene_keys = make_keys(outputs), make_keys(scenes)
    scenes_by_key, outputs_by_key = defaultdict(list), defaultdict(list)
    for scene, key in zip(scenes, scene_keys, strict=True):
        scenes_by_key[key].append(scene)
    for output, key in zip(outputs, output_keys, strict=True):
        outputs_by_key[key].append(output)
    ambiguous = {
        scene: outputs_by_key[key]
        for key, same_key in scenes_by_key.items()
        for scene in same_key
        if key in outputs_by_key and (len(same_key) > 1 or len(outputs_by_key[key]) > 1)
    }
    matches = [
        Match(output, scenes_by_key[key][0])
        for output, key in zip(outputs, output_keys, strict=True)
        if key in scenes_by_key and scenes_by_key[key][0] not in ambiguous
    ]
    return _matching(rule, outputs, scenes, matches, ambiguous)


def _match_prefixes(outputs: Sequence[str], scenes: Sequence[str]) -> Matching:
    """Match 901_1, ..., 901_14 to the scene 901: the longest scene that is a prefix of the key.

    Only numbers may follow: 901_real_A and 901_fake_B are not two outputs of one scene.
    """
    scenes_by_key = defaultdict(list)
    for scene, key in zip(scenes, _without_shared_words(_keys(scenes)), strict=True):
        scenes_by_key[key].append(scene)
    matches = defaultdict(list)
    for output, key in zip(outputs, _without_shared_words(_keys(outputs)), strict=True):
        numbers = next((i for i in range(len(key)) if all(map(str.isdecimal, key[i:]))), len(key))
        ends = range(len(key), max(numbers, 1) - 1, -1)
        end = next((end for end in ends if len(scenes_by_key.get(key[:end], ())) == 1), None)
        if end is not None:
            match = Match(output, scenes_by_key[key[:end]][0], "_".join(key[end:]))
            matches[match.name].append(match)
    unique = [group[0] for group in matches.values() if len(group) == 1]
    ambiguous = {
        name: [match.output for match in group] for name, group in matches.items() if len(group) > 1
    }
    return _matching(
        "those of the clean pictures followed by a number", outputs, scenes, unique, ambiguous
    )


def _matching(
    rule: str,
    outputs: Sequence[str],
    scenes: Sequence[str],
    matches: list[Match],
    ambiguous: dict[str, list[str]],
) -> Matching:
    used_outputs = {match.output for match in matches}.union(*ambiguous.values())
    used_scenes = {match.scene for match in matches} | set(ambiguous)
    return Matching(
        rule,
        matches,
        [output for output in outputs if output not in used_outputs],
        [scene for scene in scenes if scene not in used_scenes],
        ambiguous,
    )
