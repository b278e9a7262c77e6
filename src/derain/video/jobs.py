"""What a command line asks for: clips, folders of frames and pipes, and where they go."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from derain.cli.sizes import parse_size
from derain.errors import DerainError
from derain.files.paths import exists, is_folder, is_occupied, looks_like_file, same_file
from derain.inference.restorer import Restorer
from derain.photos.jobs import check_suffix, possible_sources
from derain.photos.worker import create_folder
from derain.pictures import PICTURE_SUFFIXES
from derain.suffixes import HOLDING, PIPE, READ_ONLY, SUFFIXES
from derain.video.clip import PARTIAL, restore_clip
from derain.video.frame_folder import restore_frame_folder
from derain.video.frames import FrameOptions, VideoResult
from derain.video.pipe import restore_pipe

RAW_LAYOUT = "rgb24"
"""Of raw frames, where nothing else is said."""


class Watcher(Protocol):
    """Who is told how far it is."""

    def begin(self, frames: int | None) -> None:
        """There are so many frames, or nobody knows how many."""

    def advance(self) -> None:
        """One more is done."""


@dataclass(frozen=True)
class VideoJob:
    """One clip, folder of frames or pipe."""

    source: Path
    target: Path
    overwrite: bool = False
    raw: tuple[int, int, str] | None = None
    """Width, height and pixel format of the frames on standard input."""

    @property
    def is_pipe(self) -> bool:
        """Whether it goes from standard input to standard output."""
        return str(self.source) == PIPE

    def carry_out(
        self,
        restorer: Restorer,
        wishes: FrameOptions,
        watcher: Watcher,
        *,
        codec: str | None = None,
        crf: float | None = None,
    ) -> VideoResult:
        """Restore it. Raises DerainError."""
        if self.is_pipe:
            watcher.begin(None)
            pipes = sys.stdin.buffer, sys.stdout.buffer
            return restore_pipe(*pipes, restorer, wishes, raw=self.raw, on_frame=watcher.advance)
        begin, advance = watcher.begin, watcher.advance
        if is_folder(self.source):
            frames = self.source, self.target
            return restore_frame_folder(
                *frames,
                restorer,
                wishes,
                overwrite=self.overwrite,
                on_start=begin,
                on_frame=advance,
            )
        create_folder(self.target.parent)
        clip = self.source, self.target
        return restore_clip(
            *clip, restorer, wishes, codec=codec, crf=crf, on_start=begin, on_frame=advance
        )


@dataclass
class VideoJobList:
    """The orders of a command line."""

    todo: list[VideoJob] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Inputs that cannot be done, each with a sentence."""
    already_there: int = 0
    """Clips of several whose target exists."""
    results: int = 0
    """Clips that are called as results beside their sources are; they are left alone."""


def find_video_jobs(
    inputs: Sequence[Path],
    *,
    output: Path | None = None,
    suffix: str = "_derained",
    overwrite: bool = False,
    raw: str | None = None,
    pix_fmt: str | None = None,
    is_encoder_chosen: bool = False,
) -> VideoJobList:
    """List what is to be restored, and where to.

    A clip goes beside its source with `suffix` at its name, into the folder `output`, or to `output` itself if that has the
    suffix of a clip. Frames go into the folder `output`, or one beside theirs. An existing clip is a target only with
    `overwrite`: of several inputs it counts as done, for a single one it is a problem. Raises DerainError for what cannot be
    meant; `is_encoder_chosen` says that there is a --codec or a --crf.
    """
    for path in inputs:
        if str(path).startswith("-") and str(path) != PIPE and not exists(path):
            raise DerainError(
                f"{path}: is neither an option for clips nor a file; `derain video --help` lists the options, "
                f"and photos are restored by themselves"
            )
    if pix_fmt is not None and raw is None:
        raise DerainError(
            f"--pix-fmt {pix_fmt}: is for raw frames; give their size as well by --raw WIDTHxHEIGHT, or leave it out"
        )
    if is_encoder_chosen and all(str(path) == PIPE or is_folder(path) for path in inputs):
        raise DerainError(
            "--codec and --crf are for clips: frames come out of a pipe or a folder as they go in; leave them out"
        )
    for path in inputs:
        if output is None and is_folder(path) and not path.resolve().name:
            raise DerainError(f"{path}: has no folder beside it for its frames; name one with -o")
    pipes = [str(path) == PIPE for path in inputs]
    if any(pipes) or str(output) == PIPE or raw is not None:
        if pipes != [True] or str(output) != PIPE:
            raise DerainError(
                "a pipe goes from standard input to standard output and nowhere else: `derain - -o -`"
            )
        frames = None if raw is None else (*parse_size(raw, option="--raw"), pix_fmt or RAW_LAYOUT)
        return VideoJobList([VideoJob(Path(PIPE), Path(PIPE), raw=frames)])
    check_suffix(suffix)
    if output is not None and output.suffix.lower() in PICTURE_SUFFIXES and not is_folder(output):
        raise DerainError(
            f"{output}: is the name of a photo, and there are clips or frames; name a clip or a folder"
        )
    orders = VideoJobList()
    taken: dict[Path, Path] = {}
    names = {path.with_suffix("") for path in inputs if not is_folder(path)}
    is_file = output is not None and output.suffix.lower() in SUFFIXES and not is_folder(output)
    if is_file and (len(inputs) > 1 or is_folder(inputs[0])):
        asked = len(inputs) if len(inputs) > 1 else "frames in a folder"
        raise DerainError(
            f"{output}: is the name of one clip, and there are {asked}; name a folder"
        )
    if (
        output is not None
        and looks_like_file(output)
        and not is_file
        and not is_occupied(output)
        and len(inputs) == 1
        and not is_folder(inputs[0])
    ):
        known = ", ".join(sorted(SUFFIXES))
        raise DerainError(
            f"{output}: {output.suffix} is not a kind of clip that derain writes; choose one of {known}, or make the folder first"
        )
    for source in inputs:
        if source.suffix.lower() in PICTURE_SUFFIXES and not is_folder(source):
            orders.problems.append(
                f"{source}: is a photo beside clips; restore it by itself with `derain restore`"
            )
            continue
        if (
            output is None
            and not is_folder(source)
            and possible_sources(_whole(source), suffix) & names
        ):
            orders.results += 1
            continue
        if output is None:
            target = _beside(_writable(source), suffix)
        elif is_file or (is_folder(source) and len(inputs) == 1):
            target = output
        else:
            target = output / _writable(source).name
        if (rival := taken.get(target)) is not None:
            if rival != source and not same_file(rival, source):  # or it was named twice
                orders.problems.append(
                    f"{source}: would overwrite the result of {rival}; restore the two into different folders"
                )
            continue
        taken[target] = source
        if same_file(target, source) and not is_folder(source):
            orders.problems.append(f"{source}: would be written while it is read; give another -o")
        elif not is_folder(source) and is_occupied(target) and not overwrite:
            if len(inputs) > 1 and exists(target):
                orders.already_there += 1
            else:
                orders.problems.append(
                    f"{source}: {target} exists; give --overwrite to replace it or another -o"
                )
        else:
            orders.todo.append(VideoJob(source, target, overwrite))
    return orders


def _whole(source: Path) -> Path:
    """The name that a clip would have had if it had not been cut short."""
    return source.with_stem(re.sub(rf"(?<=.){PARTIAL}(_\d+)?$", "", source.stem))


def _writable(source: Path) -> Path:
    """The name of a clip or of a folder, with the suffix of a format that derain writes."""
    return (
        source.with_suffix(HOLDING)
        if source.suffix.lower() in READ_ONLY and not is_folder(source)
        else source
    )


def _beside(source: Path, suffix: str) -> Path:
    if is_folder(source):
        folder = (
            source.resolve() if source.name in {"", ".."} else source
        )  # of `.`, what it is called
        return folder.with_name(folder.name + suffix)
    return source.with_stem(source.stem + suffix)
