"""`derain data`: inspect data sets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter, validators

from derain.cli.console import plain_console
from derain.cli.exit_codes import ExitCode
from derain.cli.options import DEFAULT_NETWORK, Network, PathArgument, Positive

if TYPE_CHECKING:
    from rich.progress import Progress

    from derain.data.check import Check, FolderCheck
    from derain.data.from_clip import ClipPairs
    from derain.evaluate.hard_crops import HardCrops

data = App(
    name="data", help="Inspect data sets of rainy and clean pictures, and find more to train on."
)

MAX_LINES = 10
"""Lines of each kind that are printed without `--all`."""


def _work_bar() -> Progress:
    """Return a bar for long work on stderr, which is hidden where that is not a terminal."""
    from rich.progress import Progress

    console = plain_console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)


@data.command
def check(
    *folders: PathArgument,
    rain_free: Annotated[
        list[PathArgument] | None, Parameter(consume_multiple=True, negative="")
    ] = None,
    layout: str | None = None,
    measured: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 200,
    jobs: Annotated[int | None, Parameter(name=["--jobs", "-j"], validator=Positive)] = None,
    print_all: Annotated[bool, Parameter(name="--all", negative=())] = False,
) -> int:
    """Report the contents of data sets, their problems, and the backgrounds that they share.

    Returns 1 if a file is unusable, a pair does not match, or two folders share a background.

    Parameters
    ----------
    folders
        One data set each, for example a training set and a test set; list files are accepted too.
    rain_free
        Folders of clean pictures without rainy ones, such as backgrounds for training; subfolders
        are not searched.
    layout
        Layout of the pairs, if detection fails: folders, names, one-to-many, clean-left,
        clean-right, list.
    measured
        Number of pairs in each folder whose PSNR and alignment are measured; 0 skips both.
    jobs
        Number of processes; one for each core by default.
    print_all
        Print every line, not only the first ten of each kind.
    """
    from derain.data import check as checks
    from derain.errors import DataError

    if not folders and not rain_free:
        raise DataError("derain data check: no folder given; name one or more")
    with _work_bar() as progress:
        task = progress.add_task("inspecting pairs", total=None)
        result = checks.check(
            folders,
            rain_free=rain_free or (),
            layout=layout,
            measured=measured,
            processes=jobs,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    print("\n".join(report_lines(result, max_lines=None if print_all else MAX_LINES)))
    return ExitCode.of_run(has_failures=not result.is_sound, is_interrupted=False)


@data.command(name="hard-crops")
def hard_crops(
    *folders: PathArgument,
    output: Annotated[PathArgument, Parameter(name=["--output", "-o"])],
    crop_px: Annotated[int, Parameter(name="--size", validator=Positive)] = 224,
    count: Annotated[int, Parameter(validator=Positive)] = 500,
    exclude: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    network: Network = DEFAULT_NETWORK,
) -> None:
    """Find the crops of rain-free pictures that a model changes most, for `data.mix.hard`.

    Prints how much the pictures as a whole change.

    Parameters
    ----------
    folders
        Folders of rain-free pictures; subfolders are not searched.
    output
        A new folder for the crops, PNG files.
    crop_px
        Side of a crop in pixels, at least that of the crops in training.
    count
        Number of crops, at most two of each picture.
    exclude
        Stems of pictures to leave out, such as those held out for validation.
    """
    from derain.data.training_pictures import background_paths, unknown_stems
    from derain.errors import DataError
    from derain.evaluate.hard_crops import find_hard_crops, prepare_folder, save_hard_crops

    if not folders:
        raise DataError("derain data hard-crops: no folder given; name one or more")
    if unknown := unknown_stems(folders, exclude or ()):
        raise DataError(
            f"--exclude {unknown[0]}: no picture has that name; correct it or leave it out"
        )
    paths = background_paths(folders, exclude=exclude or ())
    prepare_folder(output)
    with _work_bar() as progress:
        task = progress.add_task("restoring rain-free pictures", total=len(paths))
        found = find_hard_crops(
            paths,
            network.load(),
            crop_px=crop_px,
            count=count,
            on_picture=lambda done, _: progress.update(task, completed=done),
        )
    if not found.crops:
        if found.unreadable:
            raise DataError(found.unreadable[0])
        raise DataError(f"{paths[0]}: no picture has room for a crop of {crop_px} px; lower --size")
    save_hard_crops(found, output)
    print("\n".join(_hard_crop_lines(found, output)))
    if found.unreadable:
        raise DataError(
            f"{len(found.unreadable)} pictures were skipped, the first: {found.unreadable[0]}"
        )


def _hard_crop_lines(found: HardCrops, output: Path) -> list[str]:
    """Return the summary of rain-free pictures and their hard crops."""
    import numpy as np

    low = np.percentile(found.psnr, 5)
    lines = [
        f"{len(found.psnr)} rain-free pictures: mean {np.mean(found.psnr):.1f} dB, "
        f"5th percentile {low:.1f} dB, worst {min(found.psnr):.1f} dB",
        f"{output}: {len(found.crops)} crops of {found.crop_px} px, "
        f"{found.crops[0].psnr:.1f} to {found.crops[-1].psnr:.1f} dB",
    ]
    if found.too_small:
        lines.append(f"{len(found.too_small)} pictures are smaller and were skipped")
    return lines


@data.command(name="from-clip")
def from_clip(
    clip: PathArgument,
    /,
    *,
    output: Annotated[PathArgument, Parameter(name=["--output", "-o"])],
    every: Annotated[int, Parameter(validator=Positive)] = 1,
) -> None:
    """Make training pairs from a clip of rain by a camera that stands still.

    For each two seconds, the rain-free value of each pixel is estimated. Moving things are masked
    out on both sides. Needs the extra `video`. `recipes/adapt.toml` trains on the pairs.

    Parameters
    ----------
    clip
        A clip, or a folder of numbered frames.
    output
        A new folder for the pairs: PNG files in `rainy` and `clean`.
    every
        Make a pair of every n-th frame. A network for clips needs all frames.
    """
    from derain.data.from_clip import write_pairs
    from derain.video.read_frames import read_frames

    with _work_bar() as progress:
        task = progress.add_task("frames", total=None)
        result = write_pairs(
            read_frames(clip),
            output,
            name=str(clip),
            every=every,
            on_frame=lambda: progress.advance(task),
        )
    print("\n".join(clip_lines(result, output)))


def clip_lines(result: ClipPairs, output: Path) -> list[str]:
    """Return the report of `derain data from-clip`."""
    without = {
        "more than half of the picture moves": result.crowded,
        "the light changed": result.changed_light,
        "too few at the end": result.unused,
    }
    return [
        f"{output}: {result.pairs} pairs from {result.frames} frames",
        f"  input PSNR   {result.input_psnr_db:.2f} dB (RGB, mean)",
        f"  masked out   {result.masked:.1%} of the pixels, which move or have no usual value",
        *(f"  no pair      {count} frames: {why}" for why, count in without.items() if count),
    ]


def report_lines(result: Check, *, max_lines: int | None) -> list[str]:
    """Return the report of a check, with at most `max_lines` of each kind of finding."""
    lines: list[str] = []
    for folder in result.folders:
        lines += [*_folder_lines(folder, max_lines=max_lines), ""]
    if len(result.folders) > 1:
        if result.shared:
            lines.append(f"Backgrounds in more than one folder: {len(result.shared)}")
            groups = [_join(map(str, group), max_lines) for group in result.shared]
            lines += _indent(groups, max_lines)
            lines += [
                f"  {folder.pair_set.origin}: {folder.shared} of its clean pictures"
                for folder in result.folders
                if folder.shared
            ]
        else:
            lines.append("The folders share no background.")
    return lines


def _folder_lines(folder: FolderCheck, *, max_lines: int | None) -> list[str]:
    from derain.data.pairs.rain_free import RAIN_FREE

    pair_set = folder.pair_set
    lines = [
        str(pair_set.origin),
        f"  layout       {pair_set.layout}",
        f"  {'pictures' if pair_set.layout == RAIN_FREE else 'pairs':<12} {len(pair_set.pairs)}",
        f"  sizes        {_most_frequent(folder.sizes)}",
        f"  formats      {_most_frequent(folder.formats)}",
    ]
    if folder.input_psnr_db is not None:
        psnr = f"{folder.input_psnr_db:.2f} dB (RGB, mean of {folder.measured} pairs)"
        lines.append(f"  input PSNR   {psnr}")
    lines.append(f"  backgrounds  {folder.backgrounds} different ones")
    if folder.duplicates:
        lines.append(f"  backgrounds that occur more than once: {len(folder.duplicates)}")
        groups = [_join(names, max_lines) for names in _short_names(folder)]
        lines += _indent(groups, max_lines)
    if pair_set.ignored:
        from derain.data.pairs.pair_set import IGNORED_KINDS

        lines.append(f"  {len(pair_set.ignored)} other pictures ignored ({IGNORED_KINDS})")
    if folder.problems:
        lines.append(f"  problems: {len(folder.problems)}")
        lines += _indent([str(problem) for problem in folder.problems], max_lines)
    return lines


def _short_names(folder: FolderCheck) -> Iterator[list[str]]:
    """Yield the names of each group of duplicates, with their folders if there are several."""
    origin = folder.pair_set.folder
    is_flat = len({path.parent for group in folder.duplicates for path in group}) == 1
    for group in folder.duplicates:
        yield [
            path.name
            if is_flat or not path.is_relative_to(origin)
            else path.relative_to(origin).as_posix()
            for path in group
        ]


def _most_frequent(counts: dict[str, int], *, shown: int = 4) -> str:
    """Return `481x321 (60), 321x481 (40), 2 more`."""
    text = ", ".join(f"{name} ({count})" for name, count in list(counts.items())[:shown])
    return text + (f", {len(counts) - shown} more" if len(counts) > shown else "")


def _join(names: Iterable[str], limit: int | None) -> str:
    """Return `a = b = c`, cut after `limit` names, since a video gives groups of hundreds."""
    listed = list(names)
    text = " = ".join(listed[:limit])
    if limit is not None and len(listed) > limit:
        text += f" and {len(listed) - limit} more"
    return text


def _indent(findings: Sequence[str], limit: int | None) -> list[str]:
    """Indent the first `limit` findings and count the others."""
    lines = [f"    {finding}" for finding in findings[:limit]]
    if limit is not None and len(findings) > limit:
        lines.append(f"    ... and {len(findings) - limit} more (--all prints them)")
    return lines
