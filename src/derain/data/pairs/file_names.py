"""What names of folders and files say about a picture: the rainy side or the clean one, and of which scene.

The words are those of the published sets: `rain/X2/norain-1x2.png` with `norain/norain-1.png` (Rain200), `rain-001.png` with
`norain-001.png` (Rain100), `rainy_image/901_3.jpg` with `ground_truth/901.jpg` (Rain1400), `input` with `target` (Rain13K),
`Scene-R-007.png` with `Scene-C-000.png` (GT-RAIN), `real_world` with `real_world_gt` and `001.png` with `001gt.png` (SPA-Data).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import PurePath
from typing import Literal

from derain.suffixes import PICTURE_SUFFIXES

Side = Literal["rainy", "clean"]

PAIR_SUFFIXES = PICTURE_SUFFIXES | {".ppm"}
"""What `derain.data.pairs.pair.read` reads."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Folder names, lower case and without `-`, `_` and spaces.
_RAINY_FOLDERS = _words(
    "rainy rain rainx2 input inputs in o lq lr degraded data rainyimage rainyimages rainimage realworld"
)
_CLEAN_FOLDERS = _words(
    "clean norain target targets gt groundtruth groundtruths b hq hr label labels sharp reference "
    "referencecleanimage cleanimage cleanimages norainimage realworldgt"
)
_SCALE_FOLDERS = _words("x2")  # Rain200 keeps its rainy pictures in rain/X2
_OTHER_FOLDERS = _words(
    "mask masks rainmask rainstreak rainstreaks streak streaks rainregion blurredlabel macosx"
)
_OTHER_FILES = re.compile(r"^(\.|rain[-_]?(streak|region|mask)s?[-_ ]?\d)", re.IGNORECASE)

_SCENE_FRAME = re.compile(r"^(?P<scene>.+)-(?P<side>[RC])-(?P<frame>\d+)$")
_DOUBLED = re.compile(r"^(?:no)?rain[-_ ]?(?P<key>\d+)x2$", re.IGNORECASE)
_CLEAN_NAME = re.compile(
    r"^(?:no[-_]?rain|clean|gt|target)[-_ ]?(?P<key>.+)$|^(?P<head>.+)[-_ ](?:gt|clean|no[-_]?rain|target)$|^(?P<number>\d+)gt$",
    re.IGNORECASE,
)
_RAINY_NAME = re.compile(
    r"^(?:rainy|rain|input)[-_ ]?(?P<key>.+)$|^(?P<head>.+)[-_ ](?:in|input|rainy|rain)$", re.I
)
_DIGITS = re.compile(r"\d+")


def plain(word: str) -> str:
    """The folder name as the tables above spell it: `Ground_Truth` -> `groundtruth`."""
    return re.sub(r"[-_ ]", "", word).casefold()


def is_picture(path: PurePath) -> bool:
    """Does the suffix name a kind of picture that sets are published in?"""
    return path.suffix.lower() in PAIR_SUFFIXES


def is_other(relative: PurePath) -> bool:
    """Is it a mask, a streak layer or a leftover of an unpacking program that belongs to no pair?"""
    return bool(_OTHER_FILES.match(relative.name)) or any(
        plain(part) in _OTHER_FOLDERS for part in relative.parts[:-1]
    )


def side_by_folder(relative: PurePath) -> tuple[Side | None, tuple[str, ...]]:
    """The side that the innermost telling folder names, and the folders that are left: pictures of one scene share them."""
    folders = [part for part in relative.parts[:-1] if plain(part) not in _SCALE_FOLDERS]
    for index in reversed(range(len(folders))):
        word = plain(folders[index])
        if word in _RAINY_FOLDERS or word in _CLEAN_FOLDERS:
            side: Side = "rainy" if word in _RAINY_FOLDERS else "clean"
            return side, (*folders[:index], *folders[index + 1 :])
    return None, tuple(folders)


def side_by_name(stem: str) -> Side | None:
    """`norain-001` and `001_GT` are clean; `rain-001`, `001_in` and `norain-1x2` are rainy; `001` says nothing."""
    if match := _SCENE_FRAME.match(stem):
        return "rainy" if match["side"] == "R" else "clean"
    if _DOUBLED.match(stem):
        return "rainy"
    if _CLEAN_NAME.match(stem):
        return "clean"
    return "rainy" if _RAINY_NAME.match(stem) else None


def scene_key(stem: str) -> str:
    """What the rainy and the clean name of one scene have in common: `rain-001`, `norain-1x2` and `1_GT` -> `1`."""
    key = stem = unicodedata.normalize("NFC", stem)  # macOS decomposes accents
    if match := _SCENE_FRAME.match(stem):
        key = f"{match['scene']}-{match['frame']}"
    else:
        for pattern in (_DOUBLED, _CLEAN_NAME, _RAINY_NAME):
            if match := pattern.match(stem):
                groups = match.groupdict()
                key = groups.get("key") or groups.get("head") or groups.get("number") or stem
                break
    return _DIGITS.sub(lambda digits: str(int(digits[0])), key).casefold()


def shorter_keys(key: str) -> Iterator[str]:
    """`im_301_s80_a4` -> `im_301_s80`, `im_301`, `im`: the clean picture of many rainy ones has the shorter name."""
    while (cut := max(key.rfind("_"), key.rfind("-"))) > 0:
        key = key[:cut]
        yield key


def scene_of_frame(stem: str) -> str | None:
    """The scene of a GT-RAIN frame, whose one clean picture `Scene-C-000` serves every rainy frame; None for other names."""
    match = _SCENE_FRAME.match(stem)
    return match["scene"] if match else None


def natural(text: str) -> list[tuple[int, int, str]]:
    """A sort key that puts 2 before 10."""
    return [
        (0, int(part), "") if part.isdecimal() else (1, 0, part)
        for part in re.split(r"(\d+)", text)
        if part
    ]
