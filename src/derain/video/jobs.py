"""Jobs of a command line: clips, folders of frames and pipes, with their targets."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from derain.errors import DerainError
from derain.files.paths import (
    create_folder,
    ends_with_slash,
    exists,
    is_folder,
    is_occupied,
    is_taken,
    looks_like_file,
    same_file,
)
from derain.inference.restorer import Restorer
from derain.result_names import (
    DERAINED_SUFFIX,
    ConflictCheck,
    check_suffix,
    existing_message,
    possible_sources,
)
from derain.suffixes import (
    CLIP_SUFFIXES,
    MATROSKA,
    PICTURE_SUFFIXES,
    PIPE,
    READ_ONLY_CLIP_SUFFIXES,
)
from derain.video.clip import PARTIAL_SUFFIX, restore_clip
from derain.video.frame_folder import restore_frame_folder
from derain.video.frames import FrameOptions, VideoResult
from derain.video.pipe import restore_pipe

DEFAULT_RAW_LAYOUT = "rgb24"
"""Pixel format of raw frames without --pix-fmt."""


@dataclass(frozen=True)
class VideoJob:
    """One clip, folder of frames or pipe, with its target."""

    source: Path
    target: Path
    overwrite: bool = False
    raw: tuple[int, int, str] | None = None
    """Width, height and pixel format of raw frames on standard input."""

    @property
    def is_pipe(self) -> bool:
        """True for a job from standard input to standard output."""
        return _is_pipe(self.source)

    def run(
        self,
        restorer: Restorer,
        options: FrameOptions,
        *,
        codec: str | None = None,
        crf: float | None = None,
        on_start: Callable[[int | None], None] = lambda frame_count: None,
        on_frame: Callable[[], None] = lambda: None,
    ) -> VideoResult:
        """Restore the input.

        `on_start(frame_count)` is called once, with None for an unknown count, and `on_frame()`
        after each frame. Raises DerainError.
        """
        if self.is_pipe:
            on_start(None)
            return restore_pipe(
                sys.stdin.buffer,
                sys.stdout.buffer,
                restorer,
                options,
                raw=self.raw,
                on_frame=on_frame,
            )
        if is_folder(self.source):
            return restore_frame_folder(
                self.source,
                self.target,
                restorer,
                options,
                overwrite=self.overwrite,
                on_start=on_start,
                on_frame=on_frame,
            )
        create_folder(self.target.parent)
        return restore_clip(
            self.source,
            self.target,
            restorer,
            options,
            overwrite=self.overwrite,
            codec=codec,
            crf=crf,
            on_start=on_start,
            on_frame=on_frame,
        )


@dataclass
class VideoJobList:
    """Jobs of a command line."""

    pending: list[VideoJob] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Inputs without a valid job, a sentence each."""
    existing: int = 0
    """Clips, of several, whose target exists; skipped."""
    earlier_results: int = 0
    """Clips that look like results of an earlier run; skipped."""


def find_video_jobs(
    inputs: Sequence[Path],
    *,
    output: str | Path | None = None,
    suffix: str = DERAINED_SUFFIX,
    overwrite: bool = False,
    raw: tuple[int, int] | None = None,
    pix_fmt: str | None = None,
    is_encoder_chosen: bool = False,
) -> VideoJobList:
    """Return the jobs of a command line.

    The result of a clip goes beside its source with `suffix` in its name, into the folder
    `output`, or to `output` itself if that has the suffix of a clip and is not text that ends with
    a slash. Frames go into the folder `output`, or into one beside theirs. Without `overwrite`, an
    existing target counts as done among several inputs, and is a problem for a single one; an
    empty file does not count. `raw` is (width, height) of raw frames
    on standard input, `is_encoder_chosen` the presence of --codec or --crf.
    Raises DerainError for options that contradict each other.
    """
    check_options(
        inputs,
        output=output,
        has_size=raw is not None,
        pix_fmt=pix_fmt,
        is_encoder_chosen=is_encoder_chosen,
    )
    if any(map(_is_pipe, inputs)):
        frames = None if raw is None else (*raw, pix_fmt or DEFAULT_RAW_LAYOUT)
        return VideoJobList([VideoJob(Path(PIPE), Path(PIPE), raw=frames)])
    check_suffix(suffix)
    if output is not None:
        check_output(output, inputs)
    jobs = VideoJobList()
    names = {path.with_suffix("") for path in inputs if not is_folder(path)}
    sources = []
    for path in inputs:
        if _is_picture(path):
            jobs.problems.append(
                f"{path}: is a photo, not a clip; restore it separately with `derain restore`"
            )
        elif output is None and _is_earlier_result(path, suffix=suffix, names=names):
            jobs.earlier_results += 1
        else:
            sources.append(path)
    conflicts = ConflictCheck(sources if overwrite else ())
    is_single = len(inputs) == 1
    for source in sources:
        target = resolve_target(source, output=output, suffix=suffix, is_single=is_single)
        job = VideoJob(source, target, overwrite)
        _add_job(jobs, job, conflicts=conflicts, is_single=is_single)
    return jobs


def check_options(
    inputs: Sequence[Path],
    *,
    output: str | Path | None,
    has_size: bool,
    pix_fmt: str | None,
    is_encoder_chosen: bool,
) -> None:
    """Raise DerainError for inputs and options that do not fit together."""
    for path in inputs:
        if str(path).startswith("-") and not _is_pipe(path) and not exists(path):
            raise DerainError(
                f"{path}: is neither a file nor an option for clips; see `derain video --help`, "
                "and restore photos separately"
            )
    if pix_fmt is not None and not has_size:
        raise DerainError(
            f"--pix-fmt {pix_fmt}: applies to raw frames only; "
            "add their size with --raw WIDTHxHEIGHT, or remove it"
        )
    if is_encoder_chosen and all(_is_pipe(path) or is_folder(path) for path in inputs):
        raise DerainError(
            "--codec and --crf: apply to clips only, frames keep their format; remove them"
        )
    for path in inputs:
        if output is None and is_folder(path) and not path.resolve().name:
            raise DerainError(f"{path}: has no parent folder for its frames; name one with -o")
    pipes = [_is_pipe(path) for path in inputs]
    uses_pipe = any(pipes) or (output is not None and _is_pipe(output)) or has_size
    if uses_pipe and not (pipes == [True] and output is not None and _is_pipe(output)):
        raise DerainError(
            "a pipe must lead from standard input to standard output; use `derain - -o -`"
        )


def check_output(output: str | Path, inputs: Sequence[Path]) -> None:
    """Raise DerainError for an output that cannot be the target of these inputs."""
    path = Path(output)
    if _is_picture(path) and not ends_with_slash(output):
        raise DerainError(
            f"{output}: has the suffix of a photo, but the input is video; name a clip or a folder"
        )
    holds_one_clip = len(inputs) == 1 and not is_folder(inputs[0])
    if _is_clip_file(output):
        if not holds_one_clip:
            count = f"{len(inputs)} inputs" if len(inputs) > 1 else "a folder of frames"
            raise DerainError(f"{output}: cannot hold the result of {count}; name a folder")
    elif holds_one_clip and looks_like_file(output) and not is_occupied(path):
        supported = ", ".join(sorted(CLIP_SUFFIXES))
        raise DerainError(
            f"{output}: derain does not write {path.suffix}; "
            f"choose one of {supported}, or create the folder first"
        )


def resolve_target(
    source: Path, *, output: str | Path | None, suffix: str, is_single: bool
) -> Path:
    """Return the target of an input, which may be the only one (`is_single`)."""
    if output is None:
        return _beside(_with_writable_suffix(source), suffix)
    if _is_clip_file(output) or (is_folder(source) and is_single):
        return Path(output)
    return Path(output, _with_writable_suffix(source).name)


def _add_job(
    jobs: VideoJobList, job: VideoJob, *, conflicts: ConflictCheck, is_single: bool
) -> None:
    """Add a job to `pending`, count it as done, or report why it is not possible."""
    source, target = job.source, job.target
    conflict = conflicts.reserve(source, [target])
    if conflict is not None:
        if conflict.problem is not None:
            jobs.problems.append(conflict.problem)
    elif is_folder(source):
        jobs.pending.append(job)
    elif same_file(target, source):
        jobs.problems.append(f"{source}: would overwrite itself; write to another file with -o")
    elif not is_taken(target) or job.overwrite:
        jobs.pending.append(job)
    elif exists(target) and not is_single:
        jobs.existing += 1
    else:
        jobs.problems.append(existing_message(source, target))


def _is_pipe(path: str | Path) -> bool:
    return str(path) == PIPE


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES and not is_folder(path)


def _is_clip_file(name: str | Path) -> bool:
    path = Path(name)
    is_clip = path.suffix.lower() in CLIP_SUFFIXES and not ends_with_slash(name)
    return is_clip and not is_folder(path)


def _is_earlier_result(source: Path, *, suffix: str, names: set[Path]) -> bool:
    """True for the result, possibly unfinished, of a clip in `names` (without file extensions)."""
    if is_folder(source):
        return False
    finished = source.with_stem(re.sub(rf"(?<=.){PARTIAL_SUFFIX}(_\d+)?$", "", source.stem))
    return bool(possible_sources(finished, suffix) & names)


def _with_writable_suffix(source: Path) -> Path:
    """Return the name of a clip or folder, with a suffix that derain can write."""
    if source.suffix.lower() in READ_ONLY_CLIP_SUFFIXES and not is_folder(source):
        return source.with_suffix(MATROSKA)
    return source


def _beside(source: Path, suffix: str) -> Path:
    """Return the target beside an input."""
    if is_folder(source):
        # `.` and `..` need their real name
        folder = source.resolve() if source.name in {"", ".."} else source
        return folder.with_name(folder.name + suffix)
    return source.with_stem(source.stem + suffix)
