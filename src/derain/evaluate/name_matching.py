"""Which picture that some program wrote belongs to which scene: `rain-001.png`, `001_derained.png` and `norain-1.jpg` are one.

Names are compared under one rule for a whole folder, the strictest that matches most; what fits two scenes, or shares its scene
with another file, is matched to none. Nothing is matched by its position in a list.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path

from derain.data.pairs import file_names
from derain.errors import DataError
from derain.files.messages import listing_error
from derain.files.paths import exists, is_file, is_folder, walk

_WORD = re.compile(
    "rain|norain|no|rainy|clean|derain|derained|deraining|restored?|results?|out|outputs?|pred|fake|gt|target|in|input|im|img|image"
)
_DOUBLED = re.compile(r"(?<=\d)x2$")  # Rain200 calls the rainy picture of norain-1 norain-1x2
_PART = re.compile(r"\d+([_-]\d+)+")
"""3_1 is of scene 3 first of all, also where all begin with 3; 10/1 and epoch_2_1 are not."""
_TOKENS = re.compile(r"\d+|[^\W\d_]+")

Key = tuple[str, ...]


@dataclass(frozen=True)
class Match:
    """An output and its scene; `part` tells several outputs of one scene apart (901_3: scene 901, part 3), else it is empty."""

    output: str
    scene: str
    part: str = ""

    @property
    def name(self) -> str:
        """What the picture is called in reports, whichever program wrote it."""
        return f"{self.scene}_{self.part}" if self.part else self.scene


@dataclass(frozen=True)
class Matching:
    """What belongs together and what was left over; names are paths below their folder without the suffix."""

    rule: str
    "What the names are to those of the scenes, in words: `the same but for ...`."
    matches: list[Match] = field(default_factory=list)
    left_outputs: list[str] = field(default_factory=list)
    left_scenes: list[str] = field(default_factory=list)
    ambiguous: dict[str, list[str]] = field(default_factory=dict)
    "Scene -> the outputs that all fit it, none of which is matched."


def match(
    outputs: Sequence[str], scenes: Sequence[str], *, several: bool = False, folders: bool = True
) -> Matching:
    """Match the names of outputs to the names of scenes; `several`: one clean picture may serve many (901_1 ... 901_14).

    `folders`: both are names of whole folders, so that what all names of one share may be left out.
    """
    words = "words like `rain` and `derained`"
    found = [
        _match_by_key(
            "the same", outputs, scenes, list(map(_plain, outputs)), list(map(_plain, scenes))
        ),
        _match_by_key(
            f"the same but for {words} and leading zeros",
            outputs,
            scenes,
            list(map(_key, outputs)),
            list(map(_key, scenes)),
        ),
    ]
    if folders:
        keys = (_distinct(list(map(_key, names))) for names in (outputs, scenes))
        rule = f"the same but for {words}, leading zeros, and what all names of the folder share"
        found.append(_match_by_key(rule, outputs, scenes, *keys))
    if several:
        found.insert(
            2 if all(map(_PART.fullmatch, outputs)) else len(found),
            _match_prefixes(outputs, scenes),
        )
    # the first of equals: the strictest; where nothing is matched, the one that can say why
    return max(
        found,
        key=lambda matching: (
            len(matching.matches),
            0 if matching.matches else len(matching.ambiguous),
        ),
    )


def unify_names(matchings: Mapping[str, Matching]) -> dict[str, Matching]:
    """The matchings of several programs with one clean folder, so that a picture has one name in as many of them as can be.

    The first of these under which most names are in all: the parts as they are; without the numbers that all parts of a program
    share (the epoch in 901_1_100 and 901_14_100); and without parts where a program has one output of each scene.
    """
    ways = [_as_they_are, _without_shared_numbers, _without_part]
    found = [
        {name: replace(one, matches=way(one.matches)) for name, one in matchings.items()}
        for way in ways
    ]
    return max(
        found,
        key=lambda ones: len(
            set.intersection(*({match.name for match in one.matches} for one in ones.values()))
        ),
    )


def _as_they_are(matches: list[Match]) -> list[Match]:
    return matches


def _without_shared_numbers(matches: list[Match]) -> list[Match]:
    parts = [match.part.split("_") for match in matches]
    if len({len(part) for part in parts}) > 1:
        return matches
    telling = [place for place in range(len(parts[0])) if len({part[place] for part in parts}) > 1]
    return [
        replace(match, part="_".join(part[i] for i in telling or [0]))
        for match, part in zip(matches, parts, strict=True)
    ]


def _without_part(matches: list[Match]) -> list[Match]:
    if len({match.scene for match in matches}) < len(matches):
        return _without_shared_numbers(matches)
    return [replace(match, part="") for match in matches]


def picture_files(folder: Path) -> dict[str, Path]:
    """The pictures in a folder and below it: name -> path, in natural order. Raises DataError for none or no folder.

    `folder` may end in a pattern, `results/*_fake_B.png`, where a program has put inputs and outputs into one folder. The name is
    the path below the folder without its suffix; with it where two files differ in nothing else.
    """
    pattern = "*"
    if not is_folder(folder) and "*" in folder.name:
        folder, pattern = folder.parent, folder.name
    if not is_folder(folder):
        raise DataError(
            f"{folder}: no such folder that this user may look into; give the folder that holds the pictures"
        )
    files = [
        path
        for path in _files(folder, pattern)
        if file_names.is_picture(path) and not path.name.startswith(".")
    ]
    files.sort(key=lambda path: file_names.natural(path.relative_to(folder).as_posix()))
    if not files:
        of_that_name = "" if pattern == "*" else f" called {pattern}"
        raise DataError(
            f"{folder}: no picture{of_that_name} in it; derain reads {', '.join(sorted(file_names.PAIR_SUFFIXES))}"
        )
    relative = {path: path.relative_to(folder) for path in files}
    stems = Counter(name.with_suffix("") for name in relative.values())
    return {
        (name if stems[name.with_suffix("")] > 1 else name.with_suffix("")).as_posix(): path
        for path, name in relative.items()
    }


def _files(folder: Path, pattern: str) -> Iterator[Path]:
    """The files in a folder and below it whose names fit; what is shut or leads nowhere is told of when it is read."""

    def refuse(error: OSError) -> None:
        raise DataError(listing_error(error))

    for parent, names in walk(folder, onerror=refuse):
        paths = (Path(parent, name) for name in names if fnmatch(name, pattern))
        yield from (path for path in paths if is_file(path) or not exists(path))


def _plain(name: str) -> str:
    """Case and the two ways of writing an accent (macOS decomposes) tell no pictures apart."""
    return unicodedata.normalize("NFC", name).casefold()


def _key(name: str) -> Key:
    """`Derained/rain-001` -> ("1",): the words that name a side or a step dropped, numbers without leading zeros."""
    words = _TOKENS.findall(_DOUBLED.sub("", _without_suffix(_plain(name))))
    tokens = [str(int(word)) if word.isdecimal() else word for word in words]
    return (
        tuple(token for token in tokens if not _WORD.fullmatch(token))
        or tuple(tokens)
        or (_plain(name),)
    )


def _distinct(keys: Sequence[Key]) -> list[Key]:
    """The keys without what all of them have: `Rain100L-PReNet-7-x2` -> ("7",).

    A word that all have goes wherever it stands, a number only from the ends that all have in common: 2-x2 is picture 2.
    """
    bare = _without_shared_words(keys)
    if len(set(bare)) < 2:
        return list(keys)
    shortest = min(map(len, bare))
    head = next((i for i in range(shortest) if len({key[i] for key in bare}) > 1), shortest - 1)
    left = shortest - head
    tail = next((i for i in range(left) if len({key[-1 - i] for key in bare}) > 1), left - 1)
    return [key[head : len(key) - tail] for key in bare]


def _without_shared_words(keys: Sequence[Key]) -> list[Key]:
    """`901_PReNet_3` -> ("901", "3"); the keys as they are if one of them has nothing else."""
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
    output_keys: Sequence[Hashable],
    scene_keys: Sequence[Hashable],
) -> Matching:
    scenes_of, outputs_of = defaultdict(list), defaultdict(list)
    for scene, key in zip(scenes, scene_keys, strict=True):
        scenes_of[key].append(scene)
    for output, key in zip(outputs, output_keys, strict=True):
        outputs_of[key].append(output)
    ambiguous = {
        scene: outputs_of[key]
        for key, same in scenes_of.items()
        for scene in same
        if key in outputs_of and (len(same) > 1 or len(outputs_of[key]) > 1)
    }
    matches = [
        Match(output, scenes_of[key][0])
        for output, key in zip(outputs, output_keys, strict=True)
        if key in scenes_of and scenes_of[key][0] not in ambiguous
    ]
    return _matching(rule, outputs, scenes, matches, ambiguous)


def _match_prefixes(outputs: Sequence[str], scenes: Sequence[str]) -> Matching:
    """901_1, ..., 901_14 all belong to the scene 901: the longest scene that an output's key begins with.

    Only numbers may come after it: 901_real_A and 901_fake_B are not two outputs of one scene.
    """
    scenes_of = defaultdict(list)
    for scene, key in zip(scenes, _without_shared_words(list(map(_key, scenes))), strict=True):
        scenes_of[key].append(scene)
    matches = defaultdict(list)
    for output, key in zip(outputs, _without_shared_words(list(map(_key, outputs))), strict=True):
        numbers = next((i for i in range(len(key)) if all(map(str.isdecimal, key[i:]))), len(key))
        ends = range(len(key), max(numbers, 1) - 1, -1)
        end = next((end for end in ends if len(scenes_of.get(key[:end], ())) == 1), None)
        if end is not None:
            match = Match(output, scenes_of[key[:end]][0], "_".join(key[end:]))
            matches[match.name].append(match)
    alone = [same[0] for same in matches.values() if len(same) == 1]
    ambiguous = {
        name: [match.output for match in same] for name, same in matches.items() if len(same) > 1
    }
    return _matching(
        "those of the clean pictures with a number after them", outputs, scenes, alone, ambiguous
    )


def _matching(
    rule: str,
    outputs: Sequence[str],
    scenes: Sequence[str],
    matches: list[Match],
    ambiguous: dict[str, list[str]],
) -> Matching:
    seen = {match.output for match in matches} | {
        output for several in ambiguous.values() for output in several
    }
    used = {match.scene for match in matches} | set(ambiguous)
    left_outputs = [output for output in outputs if output not in seen]
    return Matching(
        rule, matches, left_outputs, [scene for scene in scenes if scene not in used], ambiguous
    )
