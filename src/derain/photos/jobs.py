"""Jobs of a command line: which photo is restored to which file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from derain.errors import PictureError
from derain.files.atomic import TEMPORARY_PREFIX
from derain.files.messages import listing_error
from derain.files.paths import (
    ends_with_slash,
    exists,
    is_file,
    is_folder,
    is_link,
    is_taken,
    looks_like_file,
    resolve,
    same_file,
)
from derain.photos.shard import Shard
from derain.pictures.writer import format_for
from derain.result_names import (
    APPLE_DOUBLE_PREFIX,
    DERAINED_SUFFIX,
    RAIN_SUFFIX,
    ConflictCheck,
    check_suffix,
    existing_message,
    possible_sources,
)
from derain.suffixes import PICTURE_SUFFIXES, READABLE_CLIP_SUFFIXES


@dataclass(frozen=True)
class Job:
    """One photo with the files it is restored to."""

    source: Path
    target: Path
    rain_target: Path | None = None
    """File of the rain layer, if one is requested."""
    overwrite: bool = False
    """Whether existing files of these names are replaced."""

    @property
    def targets(self) -> list[Path]:
        """Files that the job writes."""
        return [self.target] if self.rain_target is None else [self.target, self.rain_target]


@dataclass
class JobList:
    """Jobs of a command line, and counts of the files that are skipped."""

    pending: list[Job] = field(default_factory=list)
    problems: list[tuple[Path, str]] = field(default_factory=list)
    """Inputs without a valid job, a sentence each."""
    other_files: int = 0
    """Files in folders that do not look like pictures."""
    existing: list[Job] = field(default_factory=list)
    """Jobs whose target exists, in folders or among several inputs; skipped."""
    missing_rain_layers: int = 0
    """Jobs in `existing` that lack the requested rain layer."""
    external_links: int = 0
    """Links in folders to pictures outside of the folder; skipped."""
    other_shards: int = 0
    """Pictures in other shards; skipped."""
    earlier_results: int = 0
    """Files that look like results of an earlier run; skipped."""


def find_jobs(
    inputs: Sequence[Path],
    *,
    output: str | Path | None = None,
    suffix: str = DERAINED_SUFFIX,
    overwrite: bool = False,
    shard: Shard | None = None,
    with_rain: bool = False,
) -> JobList:
    """Return the jobs of a command line.

    Folders are searched recursively, except for `output` inside them, and their tree is mirrored
    under `output`. Without `output`, the result goes beside its source with `suffix` in its name.
    An `output` with the suffix of a picture is the target of a single input, unless it is a folder
    or text that ends with a slash.
    Without `overwrite`, an existing target counts as done in folders and among several inputs, and
    is a problem for a single one; an empty file does not count. `with_rain` adds a rain layer
    beside each target; an existing rain layer without its result is a problem, too. Raises
    PictureError for an `output` that does not fit the inputs.
    """
    check_suffix(suffix)
    is_single = len(inputs) == 1 and not is_folder(inputs[0])
    if output is not None:
        check_output(output, is_single=is_single)
    jobs = JobList()
    excluded = None if output is None else Path(output)
    photos = list(_find_photos(inputs, jobs, excluded=excluded, suffix=suffix))
    conflicts = ConflictCheck(source for source, _ in photos if overwrite)
    for source, name in photos:
        target = resolve_target(source, name, output=output, suffix=suffix, is_single=is_single)
        rain_target = target.with_stem(target.stem + RAIN_SUFFIX) if with_rain else None
        job = Job(source, target, rain_target, overwrite)
        # jobs of other shards take part: every machine must find the same conflicts
        conflict = conflicts.reserve(source, job.targets)
        if shard is not None and not shard.contains(name):
            jobs.other_shards += 1
        elif conflict is None:
            _add_job(jobs, job, is_single=is_single)
        elif conflict.problem is not None:
            jobs.problems.append((source, conflict.problem))
    return jobs


def check_output(output: str | Path, *, is_single: bool) -> None:
    """Raise PictureError for an output that cannot hold the results of the inputs."""
    path = Path(output)
    if is_folder(path):
        return
    if is_single and looks_like_file(output):
        format_for(path)
    elif path.suffix.lower() in PICTURE_SUFFIXES and not ends_with_slash(output):
        raise PictureError(f"{output}: cannot hold the results of several pictures; name a folder")
    elif is_file(path):
        raise PictureError(f"{output}: is a file; name a folder for the results")


def resolve_target(
    source: Path, name: Path, *, output: str | Path | None, suffix: str, is_single: bool
) -> Path:
    """Return the target of a photo; `name` is its path relative to the folder that was searched."""
    if output is None:
        return source.with_stem(source.stem + suffix)
    if is_single and looks_like_file(output) and not is_folder(Path(output)):
        return Path(output)
    return Path(output, name)


def _find_photos(
    inputs: Sequence[Path], jobs: JobList, *, excluded: Path | None, suffix: str
) -> Iterator[tuple[Path, Path]]:
    """Yield (path, path relative to its input folder) of the photos; count the skipped files."""
    named = {path.with_suffix("") for path in inputs if not is_folder(path)}
    for path in inputs:
        if not is_folder(path):
            if excluded is None and possible_sources(path, suffix) & named:
                jobs.earlier_results += 1
            else:
                yield path, Path(path.name)
            continue
        photos = list(_walk(path, jobs, excluded=excluded))
        names = {photo.with_suffix("") for photo in photos}
        for photo in photos:
            if possible_sources(photo, suffix) & names:
                jobs.earlier_results += 1
            else:
                yield photo, photo.relative_to(path)
        if not photos and not any(failed.is_relative_to(path) for failed, _ in jobs.problems):
            clip = _first_clip(path)
            remedy = (
                "name another folder" if clip is None else f"restore clips with `derain {clip}`"
            )
            jobs.problems.append(
                (path, f"{path}: contains no pictures that derain can read; {remedy}")
            )


def _walk(folder: Path, jobs: JobList, *, excluded: Path | None) -> Iterator[Path]:
    """Yield the pictures in a folder, sorted by name, without hidden folders and `excluded`.

    Links to other folders, or to files outside of the folder, are not followed.
    """
    root = resolve(folder)

    def on_error(error: OSError) -> None:
        jobs.problems.append((Path(error.filename), listing_error(error)))

    for parent, folders, names in os.walk(folder, onerror=on_error):
        inside = resolve(Path(parent))
        folders[:] = sorted(
            name
            for name in folders
            if name[0] != "." and (excluded is None or not same_file(inside / name, excluded))
        )
        for name in sorted(names):
            path = Path(parent, name)
            if path.suffix.lower() not in PICTURE_SUFFIXES or name.startswith(APPLE_DOUBLE_PREFIX):
                jobs.other_files += not name.startswith(TEMPORARY_PREFIX)
            elif is_link(path) and not resolve(path).is_relative_to(root):
                jobs.external_links += 1
            elif is_link(path) or is_file(path) or not exists(path):
                yield path  # an unreadable file or dangling link is reported when it is read
            else:
                jobs.other_files += 1


def _first_clip(folder: Path) -> Path | None:
    """Return the first clip directly in a folder, if any."""
    with suppress(OSError):
        clips = [
            path
            for path in folder.iterdir()
            if path.suffix.lower() in READABLE_CLIP_SUFFIXES and path.name[0] != "."
        ]
        return min(clips, default=None)
    return None


def _add_job(jobs: JobList, job: Job, *, is_single: bool) -> None:
    """Add a job to `pending` or `existing`, or report the file that prevents it."""
    source, target = job.source, job.target
    existing = next((path for path in job.targets if is_taken(path)), None)
    if existing is None or job.overwrite:
        jobs.pending.append(job)
    elif same_file(target, source):  # not a reason to advise --overwrite
        problem = f"{source}: would overwrite itself; write to another file or folder with -o"
        jobs.problems.append((source, problem))
    elif not is_single and existing == target and is_file(target):
        jobs.existing.append(job)
        jobs.missing_rain_layers += job.rain_target is not None and not is_taken(job.rain_target)
    else:
        jobs.problems.append((source, existing_message(source, existing)))
