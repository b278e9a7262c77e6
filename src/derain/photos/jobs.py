"""Which file goes where: photos and folders on a command line to pairs of a source and a target."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from derain.errors import DerainError, PictureError
from derain.files.atomic import TEMPORARY_PREFIX
from derain.files.messages import listing_error
from derain.files.paths import (
    exists,
    is_file,
    is_folder,
    is_link,
    is_occupied,
    looks_like_file,
    resolve,
    same_file,
)
from derain.photos.shard import Shard
from derain.pictures.writer import format_for
from derain.result_names import (
    APPLE_DOUBLE_PREFIX,
    RAIN_SUFFIX,
    ConflictCheck,
    check_suffix,
    is_repeated,
    possible_sources,
)
from derain.suffixes import PICTURE_SUFFIXES, READABLE_CLIP_SUFFIXES


@dataclass(frozen=True)
class Job:
    """One picture to restore."""

    source: Path
    target: Path
    rain: Path | None = None
    """Where the rain goes that was taken out."""
    overwrite: bool = False
    """Whether files of these names are replaced."""

    @property
    def targets(self) -> list[Path]:
        """The files that are to be written."""
        return [self.target] if self.rain is None else [self.target, self.rain]


@dataclass
class JobList:
    """What a command line asks for."""

    todo: list[Job] = field(default_factory=list)
    problems: list[tuple[Path, str]] = field(default_factory=list)
    """Inputs that cannot be done, each with a sentence."""
    not_pictures: int = 0
    """Files in folders that do not look like pictures."""
    already_there: list[Job] = field(default_factory=list)
    """Pictures whose target exists, in folders and where several were named."""
    without_rain: int = 0
    """Those of them whose rain layer is wanted and is not there."""
    links_outside: int = 0
    """Links in folders to pictures that lie elsewhere; they are left alone."""
    of_other_shards: int = 0
    """Pictures that another machine does."""
    results: int = 0
    """Pictures that are called as results beside their sources are, in folders or among the inputs; they are left alone."""


def find_jobs(
    inputs: Sequence[Path],
    *,
    output: Path | None = None,
    suffix: str = "_derained",
    overwrite: bool = False,
    shard: Shard | None = None,
    with_rain: bool = False,
) -> JobList:
    """List what is to be restored, and where to.

    A folder is searched through and through, except `output` in it, and its tree is mirrored under `output`. Without `output` a
    picture goes beside its source, with `suffix` at its name. An `output` with the suffix of a picture is the target of the one
    input. An existing file is a target only with `overwrite`: in a folder, and of several inputs, it counts as done, for a
    single picture it is a problem.
    `with_rain` gives each errand a second target beside the first, which may not be there either; where the first one exists,
    the picture counts as done. Raises PictureError for an `output` that makes no sense.
    """
    check_suffix(suffix)
    errands = JobList()
    is_one = len(inputs) == 1 and not is_folder(inputs[0])
    single = is_one and output is not None and looks_like_file(output) and not is_folder(output)
    if output is not None and single:
        format_for(output)
    elif output is not None and output.suffix.lower() in PICTURE_SUFFIXES and not is_folder(output):
        raise PictureError(
            f"{output}: is the name of one picture, and the input is more than one; name a folder"
        )
    elif output is not None and is_file(output):
        raise PictureError(f"{output}: is a file, and results go into a folder; name another one")
    wanted: list[tuple[Path, Path]] = []
    named = [given for given in inputs if not is_folder(given)]
    for given in inputs:
        sources = list(_pictures(given, errands, except_in=output)) if is_folder(given) else [given]
        names = {source.with_suffix("") for source in (sources if is_folder(given) else named)}
        for source in sources:
            if (output is None or is_folder(given)) and possible_sources(source, suffix) & names:
                errands.results += 1  # what an earlier run left here is no rainy photo
                continue
            wanted.append(
                (source, source.relative_to(given) if given != source else Path(source.name))
            )
        if not sources and not any(path.is_relative_to(given) for path, _ in errands.problems):
            clip = _clip_in(given)
            remedy = (
                "name another folder"
                if clip is None
                else f"clips are named one by one, as `derain {clip}`"
            )
            errands.problems.append(
                (given, f"{given}: holds no pictures that derain reads; {remedy}")
            )
    conflicts = ConflictCheck(source for source, _ in wanted if overwrite)
    for source, name in wanted:
        target = output if output is not None and single else _target(source, name, output, suffix)
        rain = target.with_stem(target.stem + RAIN_SUFFIX) if with_rain else None
        errand = Job(source, target, rain, overwrite)
        lost = conflicts.overwritten_input(source, errand.targets)
        rival = conflicts.conflicting_input(source, errand.targets) if lost is None else None
        if shard is not None and not shard.holds(name):
            errands.of_other_shards += 1
        elif lost is not None:
            errands.problems.append(
                (
                    source,
                    f"{source}: would overwrite {lost}, which is an input itself; give another -o",
                )
            )
        elif rival is None:
            _add(errands, errand, is_one=is_one)
        elif not is_repeated(source, rival):
            text = f"{source}: would overwrite the result of {rival}; restore the two into different folders"
            errands.problems.append((source, text))
    return errands


def _clip_in(folder: Path) -> Path | None:
    """The first clip right in a folder, if it holds any and may be searched."""
    with suppress(OSError):
        return min(
            (
                path
                for path in folder.iterdir()
                if path.suffix.lower() in READABLE_CLIP_SUFFIXES and path.name[0] != "."
            ),
            default=None,
        )
    return None


def _add(errands: JobList, errand: Job, *, is_one: bool) -> None:
    source, target = errand.source, errand.target
    existing = next((path for path in errand.targets if is_occupied(path)), None)
    if existing is None or errand.overwrite:
        errands.todo.append(errand)
    elif not is_one and existing == target and is_file(target) and not same_file(target, source):
        errands.already_there.append(errand)
        errands.without_rain += errand.rain is not None and not is_occupied(errand.rain)
    else:
        errands.problems.append(
            (source, f"{source}: {existing} exists; give --overwrite to replace it or another -o")
        )


def _target(source: Path, name: Path, output: Path | None, suffix: str) -> Path:
    return source.with_stem(source.stem + suffix) if output is None else output / name


def _pictures(folder: Path, errands: JobList, *, except_in: Path | None) -> Iterator[Path]:
    """The pictures in a folder in the order of their names; hidden folders hold thumbnails and what was thrown away, no photos.

    Links to other folders, or to files outside, are not followed.
    """
    root = resolve(folder)
    skipped = None if except_in is None else resolve(except_in)

    def on_error(error: OSError) -> None:
        errands.problems.append((Path(error.filename), listing_error(error)))

    for parent, folders, names in os.walk(folder, onerror=on_error):
        inside = resolve(Path(parent))
        folders[:] = sorted(
            name
            for name in folders
            if name[0] != "." and (skipped is None or inside / name != skipped)
        )
        for name in sorted(names):
            path = Path(parent, name)
            if path.suffix.lower() not in PICTURE_SUFFIXES or name.startswith(APPLE_DOUBLE_PREFIX):
                errands.not_pictures += not name.startswith(TEMPORARY_PREFIX)
            elif is_link(path) and not resolve(path).is_relative_to(root):
                errands.links_outside += 1
            elif (
                is_link(path) or is_file(path) or not exists(path)
            ):  # what is shut or leads nowhere is told of when it is read
                yield path
            else:
                errands.not_pictures += 1
