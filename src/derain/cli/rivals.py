"""`derain rivals`: the other networks of Table 2, and checks of their weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from derain.cli.options import Flag

if TYPE_CHECKING:
    from rich.console import Console

    from derain.rivals.catalogue import Entry

WIDTH = 140
"""Columns of the table where the output is not a terminal."""


def rivals(
    name: str | None = None, weights: Path | None = None, /, *, details: Flag = False
) -> None:
    """List the other networks of the paper's Table 2, or describe one of them.

    `derain rivals prenet net_latest.pth` compares a published checkpoint with the network. It runs
    as `--model prenet:net_latest.pth` wherever a model is named.

    Parameters
    ----------
    name
        Name of a network, such as prenet, or of a system of the table.
    weights
        An official checkpoint; of a checkpoint of TensorFlow, its .index file.
    details
        Describe every system: paper, code, licence, where the weights are, and checksums.
    """
    import sys

    from rich import console as rich_console

    from derain.errors import WeightsError
    from derain.rivals.catalogue import BESIDE, TABLE2, find_entry

    console = rich_console.Console(
        width=None if sys.stdout.isatty() else WIDTH, highlight=False, emoji=False
    )
    if name is None and details:
        for system in (*TABLE2, *BESIDE):
            _describe(system, console)
            console.print()
        return
    if name is None:
        _list([*TABLE2, *BESIDE], console)
        return
    entry = find_entry(name)
    if entry is None:
        rows = ", ".join(entry.row for entry in (*TABLE2, *BESIDE))
        raise WeightsError(f"{name}: Table 2 has no such system; choose from {rows}")
    if weights is None:
        _describe(entry, console)
    elif not entry.networks:
        raise WeightsError(
            f"{entry.row}: cannot be built here ({entry.missing}); `derain rivals` lists those "
            "that can"
        )
    else:
        _check(name if name in entry.networks else entry.networks[0], weights, console)


def _list(entries: list[Entry], console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    from derain.evaluate.paper_table2 import METHODS
    from derain.rivals.catalogue import GMACS
    from derain.rivals.complexity import count_parameters

    printed = {method.name: method.parameters for method in METHODS}
    table = Table(box=None, pad_edge=False)
    for column in ("row", "year", "network", "parameters", "printed", "GMACs", "code licence"):
        table.add_column(column)
    table.add_column("reproduced, or what is missing", overflow="fold")
    for entry in entries:
        names = entry.networks
        cells = [
            entry.row,
            str(entry.year),
            "\n".join(names) or "-",
            "\n".join(f"{count_parameters(name):,}" for name in names) or "-",
            printed.get(entry.row) or "-",
            "\n".join(f"{GMACS[name]:.1f}" for name in names) or "-",
            entry.code_licence,
            entry.reproduced or entry.missing,
        ]
        table.add_row(*map(Text, cells))
    console.print(table)
    console.print(
        Text(
            "\nGMACs: 10^9 multiply-accumulates at 256x256. `derain rivals NAME` prints the paper, "
            "the code, and where the weights are published; `--details` prints that of all."
        )
    )


def _describe(entry: Entry, console: Console) -> None:
    from rich.text import Text

    from derain.rivals.catalogue import GMACS
    from derain.rivals.complexity import count_parameters

    lines = [
        f"{entry.row}: {entry.paper} ({entry.venue}, {entry.year})",
        f"code: {entry.code}; licence of code and weights: {entry.code_licence}",
        f"weights: {entry.weights or 'none found'}",
        *(
            f"{name}: {count_parameters(name):,} parameters, {GMACS[name]:.1f} GMACs at 256x256"
            for name in entry.networks
        ),
        f"reproduced: {entry.reproduced}" if entry.reproduced else f"missing: {entry.missing}",
        *(f"sha256 of {name}: {checksum}" for name, checksum in entry.sha256.items()),
    ]
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def _check(name: str, path: Path, console: Console) -> None:
    """Print what fits. Raises WeightsError if something does not."""
    import hashlib

    from rich.text import Text

    from derain.inference.engines.rival import find_rival
    from derain.rivals.catalogue import known_file
    from derain.rivals.networks import load_with_fit

    _, fit = load_with_fit(name, path)
    model = find_rival(f"{name}:{path}")
    file = path if model is None else model.onnx_path
    checksum = hashlib.sha256(file.read_bytes()).hexdigest()
    published = known_file(checksum)
    console.print(Text(f"{path}: {fit}"), soft_wrap=True)
    console.print(Text(f"sha256 {checksum}: {published or 'not among the known files'}"))
