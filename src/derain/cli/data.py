"""`derain data`: look at data sets."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter, validators

from derain.cli.options import PathArgument, Positive

if TYPE_CHECKING:
    from derain.data.check import Check, FolderCheck

data = App(name="data", help="Look at data sets of rainy and clean pictures.")

LINES = 10  # of each kind, unless all are asked for


@data.command
def check(
    *folders: PathArgument,
    layout: str | None = None,
    measured: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 200,
    jobs: Annotated[int | None, Parameter(name=["--jobs", "-j"], validator=Positive)] = None,
    every: Annotated[bool, Parameter(name="--all", negative=())] = False,
) -> int:
    """Say what data sets hold, what is wrong with them, and which backgrounds they share.

    Returns 1 if a file cannot be used, a pair does not fit, or two folders share a background.

    Parameters
    ----------
    folders
        One data set each, such as a training set and a test set; or the list file of one.
    layout
        How pairs are laid out, where it is not recognised: folders, names, one-to-many, clean-left, clean-right, list.
    measured
        Pairs of each folder on which PSNR and alignment are taken; 0 takes neither.
    jobs
        Processes; one for each processor if not given.
    every
        Print every line, not the first ten of each kind.
    """
    from rich.console import Console
    from rich.progress import Progress

    from derain.data import check as checks
    from derain.errors import DataError

    if not folders:
        raise DataError("derain data check: no folder is given; name one or more")
    with Progress(
        console=Console(stderr=True, emoji=False), transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task("looking at pairs", total=None)
        result = checks.check(
            folders,
            layout=layout,
            measured=measured,
            processes=jobs,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    print("\n".join(report(result, lines=None if every else LINES)))
    return 0 if result.is_sound else 1


def report(result: Check, *, lines: int | None) -> list[str]:
    """The text of a check, at most `lines` of each kind of finding."""
    text: list[str] = []
    for folder in result.folders:
        text += [*_folder_report(folder, lines=lines), ""]
    if len(result.folders) > 1:
        if result.shared:
            text.append(f"{len(result.shared)} backgrounds are in more than one folder:")
            text += _first([_group(map(str, group), lines) for group in result.shared], lines)
            text += [
                f"  {one.found.origin}: {one.shared} of its clean pictures"
                for one in result.folders
                if one.shared
            ]
        else:
            text.append("The folders share no background.")
    return text


def _folder_report(one: FolderCheck, *, lines: int | None) -> list[str]:
    text = [
        str(one.found.origin),
        f"  layout       {one.found.layout}",
        f"  pairs        {len(one.found.pairs)}",
    ]
    text += [f"  sizes        {_counts(one.sizes)}", f"  formats      {_counts(one.formats)}"]
    if one.input_psnr_db is not None:
        text.append(
            f"  input PSNR   {one.input_psnr_db:.2f} dB (RGB, mean of {one.measured} pairs)"
        )
    text.append(f"  backgrounds  {one.backgrounds} different ones")
    if one.duplicates:
        text.append(f"  {len(one.duplicates)} backgrounds occur more than once:")
        text += _first(
            [_group((path.name for path in group), lines) for group in one.duplicates], lines
        )
    if one.found.ignored:
        from derain.data.pairs.find import IGNORED

        text.append(f"  {len(one.found.ignored)} other pictures ignored ({IGNORED})")
    if one.problems:
        text.append(f"  {len(one.problems)} problems:")
        text += _first([str(problem) for problem in one.problems], lines)
    return text


def _counts(counts: dict[str, int], *, shown: int = 4) -> str:
    text = ", ".join(f"{name} ({count})" for name, count in list(counts.items())[:shown])
    return text + (f", {len(counts) - shown} more" if len(counts) > shown else "")


def _group(names: Iterable[str], most: int | None) -> str:
    """`a = b = c`; frames of a video make groups of hundreds."""
    every = list(names)
    return " = ".join(every[:most]) + (
        f" and {len(every) - most} more" if most is not None and len(every) > most else ""
    )


def _first(found: list[str], lines: int | None) -> list[str]:
    text = [f"    {line}" for line in found[:lines]]
    if lines is not None and len(found) > lines:
        text.append(f"    ... and {len(found) - lines} more (--all prints them)")
    return text
