"""Which file goes where: photos and folders on a command line to pairs of a source and a target."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from derain.errors import PictureError
from derain.picture.writer import FORMATS, PARTIAL_PREFIX, kind_of

PICTURE_SUFFIXES = {suffix for suffixes in FORMATS.values() for suffix in suffixes}


@dataclass(frozen=True)
class Errand:
    """One picture to restore."""

    source: Path
    target: Path


@dataclass
class Errands:
    """What a command line asks for."""

    todo: list[Errand] = field(default_factory=list)
    problems: list[tuple[Path, str]] = field(default_factory=list)
    """Inputs that cannot be done, each with a sentence."""
    not_pictures: int = 0
    """Files in folders that do not look like pictures."""
    already_there: int = 0
    """Pictures in folders whose target exists."""


def find_errands(
    inputs: Sequence[Path], *, output: Path | None = None, suffix: str = "_derained", overwrite: bool = False
) -> Errands:
    """List what is to be restored, and where to.

    A folder is searched through and through, and its tree is mirrored under `output`. Without `output` a picture goes beside
    its source, with `suffix` at its name. An `output` with the suffix of a picture is the target of the one input. An existing
    file is a target only with `overwrite`: in a folder it counts as done, named by itself it is a problem. Raises PictureError
    for an `output` that makes no sense.
    """
    errands = Errands()
    single = output is not None and bool(output.suffix) and not output.is_dir() and len(inputs) == 1 and not inputs[0].is_dir()
    if output is not None and single:
        kind_of(output)
    elif output is not None and output.suffix.lower() in PICTURE_SUFFIXES and not output.is_dir():
        raise PictureError(f"{output}: is the name of one picture, and the input is more than one; name a folder")
    taken: dict[Path, Path] = {}
    for given in inputs:
        sources = list(_pictures(given, errands)) if given.is_dir() else [given]
        for source in sources:
            if given.is_dir() and output is None and source.stem.endswith(suffix):
                continue  # what an earlier run left here is no rainy photo
            target = output if output is not None and single else _target(source, given, output, suffix)
            _add(errands, Errand(source, target), taken, overwrite=overwrite, from_folder=given.is_dir())
        if not sources:
            errands.problems.append((given, f"{given}: holds no pictures that derain reads; name another folder"))
    return errands


def _add(errands: Errands, errand: Errand, taken: dict[Path, Path], *, overwrite: bool, from_folder: bool) -> None:
    source, target = errand.source, errand.target
    if target in taken:
        text = f"{source}: would overwrite the result of {taken[target]}; restore the two into different folders"
        errands.problems.append((source, text))
    elif not target.exists() or overwrite:
        taken[target] = source
        errands.todo.append(errand)
    elif from_folder and not target.samefile(source):
        errands.already_there += 1
    else:
        errands.problems.append((source, f"{source}: {target} exists; give --overwrite to replace it or another -o"))


def _target(source: Path, given: Path, output: Path | None, suffix: str) -> Path:
    if output is None:
        return source.with_name(f"{source.stem}{suffix}{source.suffix}")
    return output / (source.relative_to(given) if given != source else source.name)


def _pictures(folder: Path, errands: Errands) -> Iterator[Path]:
    """The pictures in a folder in the order of their names; links to other folders are not followed."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if Path(name).suffix.lower() in PICTURE_SUFFIXES:
                yield Path(parent, name)
            elif not name.startswith(PARTIAL_PREFIX):
                errands.not_pictures += 1
