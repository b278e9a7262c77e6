"""`derain ablate`: train the rows of one of the paper's ablation tables alike and compare them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators


def ablate(
    table: str,
    /,
    *overrides: str,
    recipe: Path = Path("recipes/ablation.toml"),
    data: list[Path] | None = None,
    validate: list[Path] | None = None,
    minutes: Annotated[float, Parameter(validator=validators.Number(gt=0))] = 10.0,
    steps: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
) -> None:
    """Train all rows of TABLE (table1, table3 to table7, or all) for an equal number of steps and write what came out.

    Parameters
    ----------
    table
        Which table of the paper: table1, table3 to table7, or all. A row that several tables share is trained once.
    overrides
        Values to use in place of the recipe's, as section.key=value.
    recipe
        Everything that the rows do not change.
    data
        Folders of training pairs, in place of the recipe's; pairs that are evaluated on are left out.
    validate
        Folders of pairs to evaluate on, in place of the recipe's.
    minutes
        Time for the paper's own row; all rows get as many steps as it takes then.
    steps
        Steps for each row, in place of minutes; 0 takes those.
    output
        Folder for the rows' runs and, for each table, TABLE.md and TABLE.csv; default runs/ablation.
    """
    from derain.cli.console import plain_console
    from derain.environment import environment_line
    from derain.errors import TrainingError
    from derain.files.atomic import write_text
    from derain.train.ablation import results, run
    from derain.train.ablation.rows import TABLES

    console = plain_console()
    given = list(overrides)
    if validate:
        given.append(f"validation.pairs=[{', '.join(_table(folder) for folder in validate)}]")
    if data:
        kept = run.validation_names(recipe, given)
        given.append(
            f"data.pairs=[{', '.join(_table(folder, exclude=kept(folder)) for folder in data)}]"
        )
    folder = output or Path("runs/ablation")
    tables = list(TABLES) if table == "all" else [table]

    def write(name: str, rows: list[results.RowResult]) -> None:
        text = results.as_markdown(rows)
        made = "; ".join(dict.fromkeys(row.made for row in rows if row.made))
        write_text(
            folder / f"{name}.md", f"{text}\nRows of {made}. Table: {environment_line('torch')}\n"
        )
        write_text(folder / f"{name}.csv", results.as_csv(rows))
        if len(rows) == len(TABLES[name]):
            console.print(text, markup=False)

    found = run.ablate(
        tables,
        recipe,
        given,
        folder=folder,
        steps=steps,
        minutes=minutes,
        on_row=lambda text: console.print(text, markup=False),
        on_table=write,
    )
    failures = dict.fromkeys(row.failure for rows in found.values() for row in rows if row.failure)
    if failures:
        raise TrainingError(f"{len(failures)} rows failed: {'; '.join(failures)}")


def _table(folder: Path, *, exclude: Sequence[str] = ()) -> str:
    """A folder of pairs as TOML."""
    return f"{{folder={json.dumps(str(folder.resolve()), ensure_ascii=False)}, exclude={json.dumps(list(exclude))}}}"
