"""What the names of folders and files say about a picture: its side (rainy or clean) and its scene.

The words are those of the published sets:

- Rain200: `rain/X2/norain-1x2.png` with `norain/norain-1.png`
- Rain100: `rain-001.png` with `norain-001.png`
- Rain1400: `rainy_image/901_3.jpg` with `ground_truth/901.jpg`
- Rain13K: `input` with `target`
- GT-RAIN: `Scene-R-007.png` with `Scene-C-000.png`
- SPA-Data: `real_world` with `real_world_gt`, and `001.png` with `001gt.png`
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
"""Suffixes of the files that `derain.data.pairs.pair.read` can read."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Folder names as `normalise` returns them: lower case, without `-`, `_` and spaces.
_RAINY_FOLDERS = _words(
    "rainy rain rainx2 input inputs in o lq lr degraded data rainyimage rainyimages rainimage "
    "realworld"
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
    r"^(?:no[-_]?rain|clean|gt|target)[-_ ]?(?P<key>.+)$"
    r"|^(?P<head>.+)[-_ ](?:gt|clean|no[-_]?rain|target)$"
    r"|^(?P<number>\d+)gt$",
    re.IGNORECASE,
)
_RAINY_NAME = re.compile(
    r"^(?:rainy|rain|input)[-_ ]?(?P<key>.+)$|^(?P<head>.+)[-_ ](?:in|input|rainy|rain)$",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"\d+")


def normalise(word: str) -> str:
    """Spell a folder name as the tables above do: `Ground_Truth` -> `groundtruth`."""
    return re.sub(r"[-_ ]", "", word).casefold()


def is_picture(path: PurePath) -> bool:
    """True if the suffix is one that pictures of data sets have."""
    return path.suffix.lower() in PAIR_SUFFIXES


def is_other(relative: PurePath) -> bool:
    """True for files that never belong to a pair: masks, streak layers, leftovers of archives."""
    return bool(_OTHER_FILES.match(relative.name)) or any(
        normalise(part) in _OTHER_FOLDERS for part in relative.parts[:-1]
    )


def side_by_folder(relative: PurePath) -> tuple[Side | None, tuple[str, ...]]:
    """Return the side that the innermost folder with a known name stands for, and other folders.

    Both pictures of a pair have the same other folders.
    """
    folders = [part for part in relative.parts[:-1] if normalise(part) not in _SCALE_FOLDERS]
    for index in reversed(range(len(folders))):
        word = normalise(folders[index])
        if word in _RAINY_FOLDERS or word in _CLEAN_FOLDERS:
            side: Side = "rainy" if word in _RAINY_FOLDERS else "clean"
            return side, (*folders[:index], *folders[index + 1 :])
    return None, tuple(folders)


def side_by_name(stem: str) -> Side | None:
    """Return the side that a file name stands for, or None.

    `norain-001` and `001_GT` are clean; `rain-001`, `001_in` and `norain-1x2` are rainy; `001` is
    undecided.
    """
    if match := _SCENE_FRAME.match(stem):
        return "rainy" if match["side"] == "R" else "clean"
    if _DOUBLED.match(stem):
        return "rainy"
    if _CLEAN_NAME.match(stem):
        return "clean"
    return "rainy" if _RAINY_NAME.match(stem) else None


def scene_key(stem: str) -> str:
    """Return what both names of a pair share: `rain-001`, `norain-1x2` and `1_GT` -> `1`."""
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
    """Yield `im_301_s80`, `im_301`, `im` for `im_301_s80_a4`.

    A clean picture that serves many rainy ones has such a shorter name.
    """
    while (cut := max(key.rfind("_"), key.rfind("-"))) > 0:
        key = key[:cut]
        yield key


def scene_of_frame(stem: str) -> str | None:
    """Return the scene of a GT-RAIN frame, None for other names.

    One clean picture, `Scene-C-000`, serves every rainy frame of its scene.
    """
    match = _SCENE_FRAME.match(stem)
    return match["scene"] if match else None
