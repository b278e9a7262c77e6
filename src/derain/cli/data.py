"""`derain data`: inspect data sets."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter, validators

from derain.cli.options import PathArgument, Positive

if TYPE_CHECKING:
    from derain.data.check import Check, FolderCheck

data = App(name="data", help="Inspect data sets of rainy and clean pictures.")

MAX_LINES = 10
"""Lines of each kind that are printed without `--all`."""


@data.command
def check(
    *folders: PathArgument,
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
    from rich.console import Console
    from rich.progress import Progress

    from derain.data import check as checks
    from derain.errors import DataError

    if not folders:
        raise DataError("derain data check: no folder given; name one or more")
    with Progress(
        console=Console(stderr=True, emoji=False), transient=True, disable=not sys.stderr.isatty()
    ) as progress:
        task = progress.add_task("inspecting pairs", total=None)
        result = checks.check(
            folders,
            layout=layout,
            measured=measured,
            processes=jobs,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    print("\n".join(report_lines(result, max_lines=None if print_all else MAX_LINES)))
    return 0 if result.is_sound else 1


def report_lines(result: Check, *, max_lines: int | None) -> list[str]:
    """Return the report of a check, with at most `max_lines` of each kind of finding."""
    lines: list[str] = []
    for folder in result.folders:
        lines += [*_folder_lines(folder, max_lines=max_lines), ""]
    if len(result.folders) > 1:
        if result.shared:
            lines.append(f"{len(result.shared)} backgrounds are in more than one folder:")
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
    pair_set = folder.pair_set
    lines = [
        str(pair_set.origin),
        f"  layout       {pair_set.layout}",
        f"  pairs        {len(pair_set.pairs)}",
        f"  sizes        {_most_frequent(folder.sizes)}",
        f"  formats      {_most_frequent(folder.formats)}",
    ]
    if folder.input_psnr_db is not None:
        psnr = f"{folder.input_psnr_db:.2f} dB (RGB, mean of {folder.measured} pairs)"
        lines.append(f"  input PSNR   {psnr}")
    lines.append(f"  backgrounds  {folder.backgrounds} different ones")
    if folder.duplicates:
        lines.append(f"  {len(folder.duplicates)} backgrounds occur more than once:")
        groups = [_join((path.name for path in group), max_lines) for group in folder.duplicates]
        lines += _indent(groups, max_lines)
    if pair_set.ignored:
        from derain.data.pairs.pair_set import IGNORED_KINDS

        lines.append(f"  {len(pair_set.ignored)} other pictures ignored ({IGNORED_KINDS})")
    if folder.problems:
        lines.append(f"  {len(folder.problems)} problems:")
        lines += _indent([str(problem) for problem in folder.problems], max_lines)
    return lines


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
