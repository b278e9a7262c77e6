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
    data: Annotated[list[Path] | None, Parameter(negative="")] = None,
    validate: Annotated[list[Path] | None, Parameter(negative="")] = None,
    minutes: Annotated[float, Parameter(validator=validators.Number(gt=0))] = 10.0,
    steps: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
) -> None:
    """Train all rows of TABLE for the same number of steps and tabulate their scores.

    Rows that were trained before are not trained again; interrupted rows are resumed.

    Parameters
    ----------
    table
        Table of the paper: table1, table3 to table7, or all. A row that several tables share is
        trained once.
    overrides
        Values that replace those of the recipe, as section.key=value.
    recipe
        Recipe with everything that the rows do not change.
    data
        Folders of training pairs that replace those of the recipe; pairs used for validation are
        excluded.
    validate
        Folders of validation pairs that replace those of the recipe.
    minutes
        Training time of the paper's own row. All rows get the number of steps that fit into it.
    steps
        Steps for each row, instead of minutes; 0 uses the minutes.
    output
        Folder for the runs of the rows and, for each table, TABLE.md and TABLE.csv; default
        runs/ablation.
    """
    from derain.cli.console import plain_console
    from derain.environment import environment_line
    from derain.errors import TrainingError
    from derain.files.atomic import write_text
    from derain.train.ablation import results, run
    from derain.train.ablation.rows import TABLES

    console = plain_console()
    changes = list(overrides)
    if validate:
        changes.append(f"validation.pairs=[{', '.join(_as_toml(folder) for folder in validate)}]")
    if data:
        excluded = run.validation_names(recipe, changes)
        folders = [_as_toml(folder, exclude=excluded(folder)) for folder in data]
        changes.append(f"data.pairs=[{', '.join(folders)}]")
    folder = output or Path("runs/ablation")
    tables = list(TABLES) if table == "all" else [table]

    def write(name: str, rows: list[results.RowResult]) -> None:
        text = results.as_markdown(rows)
        made = "; ".join(dict.fromkeys(row.made for row in rows if row.made))
        remark = f"Rows of {made}. Table: {environment_line('torch')}"
        write_text(folder / f"{name}.md", f"{text}\n{remark}\n")
        write_text(folder / f"{name}.csv", results.as_csv(rows))
        if len(rows) == len(TABLES[name]):
            console.print(text, markup=False)

    by_table = run.ablate(
        tables,
        recipe,
        changes,
        folder=folder,
        steps=steps,
        minutes=minutes,
        on_row=lambda text: console.print(text, markup=False),
        on_table=write,
    )
    failures = dict.fromkeys(
        row.failure for rows in by_table.values() for row in rows if row.failure
    )
    if failures:
        raise TrainingError(f"{len(failures)} rows failed: {'; '.join(failures)}")


def _as_toml(folder: Path, *, exclude: Sequence[str] = ()) -> str:
    """Return a folder of pairs as TOML."""
    path = json.dumps(str(folder.resolve()), ensure_ascii=False)
    return f"{{folder={path}, exclude={json.dumps(list(exclude))}}}"
