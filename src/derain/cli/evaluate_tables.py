"""The report of `derain evaluate` on the screen."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from derain.cli.console import print_table
from derain.evaluate.run import EvaluationRun
from derain.evaluate.tables import Table, detail_tables, legend, main_table, protocol_legend

MAX_PROBLEMS = 20
"""Problems that are printed; the report files list all of them."""
MIN_NAME_COLUMNS = 12
"""Width down to which names are folded."""
HINT = "`--details` prints intervals and differences; report files always contain them."


def show(run: EvaluationRun, console: Console, *, details: bool = False) -> None:
    """Print the means and what was not scored; with `details`, also intervals and differences."""
    for summary in run.summaries:
        _print_table(main_table(summary), console)
        if details:
            for table in detail_tables(summary):
                _print_table(table, console)
        _print_lines("Not scored", _first(summary.problems), console)
        _print_lines("Notes", summary.notes, console)
    _print_lines("Models", list(map(str, run.models)), console)
    explain = legend if details else protocol_legend
    _print_lines("Legend", explain(run.summaries), console)
    for table in run.extra_tables:
        _print_table(table, console)
    if run.summaries and not details:
        console.print(Text(HINT))


def _print_table(table: Table, console: Console) -> None:
    console.print(Text(table.title, style="bold"))  # rich would wrap it at the width of the table
    grid = RichTable(box=None, pad_edge=False)
    for index, column in enumerate(table.columns):
        widest = max((Text(row[index]).cell_len for row in table.rows), default=1)
        if index == 0:
            min_width = min(widest, MIN_NAME_COLUMNS)
            grid.add_column(Text(column), overflow="fold", min_width=min_width)
        else:
            grid.add_column(Text(column), justify="right", min_width=widest)
    for row in table.rows:
        grid.add_row(*map(Text, row))
    print_table(grid, console)
    console.print()
    _print_lines(None, table.notes, console)


def _first(lines: Sequence[str]) -> list[str]:
    rest = len(lines) - MAX_PROBLEMS
    more = [f"and {rest} more, listed in the report files"] if rest > 0 else []
    return [*lines[:MAX_PROBLEMS], *more]


def _print_lines(title: str | None, lines: Sequence[str], console: Console) -> None:
    if not lines:
        return
    if title:
        console.print(Text(title, style="bold"))
    for line in lines:
        console.print(Text(f"- {line}"))
    console.print()
