"""`derain ablate`: train the rows of one of the paper's ablation tables alike and compare them."""

from __future__ import annotations

import json
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
    output: Path | None = None,
) -> None:
    """Train all rows of TABLE (table1, table3 to table7, or all) for an equal number of steps and write what came out.

    Parameters
    ----------
    table
        Which table of the paper. A row that several tables share is trained once.
    overrides
        Values to use in place of the recipe's, as section.key=value.
    recipe
        Everything that the rows do not change.
    data
        Folders of training pairs, in place of the recipe's.
    validate
        Folders of pairs to evaluate on, in place of the recipe's.
    minutes
        Time for the paper's own row; all rows get as many steps as it takes then.
    steps
        Steps for each row, in place of minutes; 0 takes those.
    output
        Folder for the rows' runs and, for each table, TABLE.md and TABLE.csv; default runs/ablation.
    """
    from rich.console import Console

    from derain.about import machine
    from derain.files import write_text
    from derain.train import ablation

    console = Console(highlight=False)
    given = list(overrides)
    for key, folders in (("data.pairs", data), ("validation.pairs", validate)):
        if folders:
            listed = ", ".join(f"{{folder={json.dumps(str(folder.resolve()), ensure_ascii=False)}}}" for folder in folders)
            given.append(f"{key}=[{listed}]")
    folder = output or Path("runs/ablation")
    tables = list(ablation.TABLES) if table == "all" else [table]

    def write(name: str, rows: list[ablation.Outcome]) -> None:
        text = ablation.as_markdown(rows)
        write_text(folder / f"{name}.md", f"{text}\n{machine('torch')}\n")
        write_text(folder / f"{name}.csv", ablation.as_csv(rows))
        console.print(text, markup=False)

    ablation.ablate(
        tables,
        recipe,
        given,
        folder=folder,
        steps=steps,
        minutes=minutes,
        on_row=lambda text: console.print(text, markup=False),
        on_table=write,
    )
