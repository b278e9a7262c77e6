"""The paper's ablations, Tables 1 and 3 to 7: every row trained alike, and one table of what came out."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from derain.data.pairs.find import find_pairs
from derain.data.pairs.folder import select_pairs
from derain.errors import DerainError, RecipeError, TrainingError
from derain.files.atomic import write_text
from derain.files.messages import explain_os_error
from derain.files.paths import exists
from derain.network import PLNLIN, PLNLINConfiguration
from derain.network.parameter_matching import count_parameters
from derain.network.run_files import LOG, RECIPE, STATE, WEIGHTS
from derain.network.weights_file import load_weights
from derain.train.ablation.results import RowResult
from derain.train.ablation.rows import TABLES, AblationRow, row_overrides
from derain.train.distributed import die_with_parent
from derain.train.manners import get_manner
from derain.train.recipe import Recipe
from derain.train.recipe_file import build_recipe, read_recipe
from derain.train.validation import shared_names, shared_pair_warnings, validation_pairs

PILOT_STEPS, PILOT_SKIPPED = 15, 5  # ten steps are timed: two rounds of r = 5
DISCRIMINATORS = {"table1", "table6", "table7"}
"""Tables whose rows differ in nothing but the discriminator and its turns."""
BUDGET = "steps.json"
"""In the folder of the rows: steps by minutes and recipe."""
SAVED_MINUTES = 2
"""A row lasts some ten minutes: a kill should not cost all of them."""
FREE = ("machine", "notes", "record")
"""Sections of a recipe that do not change what a row comes to, but for machine.precision."""


class RowError(TrainingError):
    """A row cannot be trained; others may."""


def ablate(
    tables: Sequence[str],
    recipe: Path,
    overrides: Sequence[str] = (),
    *,
    folder: Path,
    steps: int = 0,
    minutes: float = 0.0,
    on_row: Callable[[str], None] = print,
    on_table: Callable[[str, list[RowResult]], object] = lambda *_: None,
) -> dict[str, list[RowResult]]:
    """Train each row of `tables` from the same seed, on the same crops, for the same number of steps, and evaluate it.

    `recipe` gives all that the rows do not change. Either `steps` or `minutes`, from which the steps follow by the speed of the
    paper's own row, measured once in `folder`. A row that has been trained there already, for this table or another, is not
    trained again, one that was cut off goes on. `on_table` is called with the rows so far of a table after each of them; among
    them are those that failed, by a loss that is not finite or a full disk. Raises RecipeError, also where a row there was
    trained by another recipe, and for a pair that is both trained and evaluated on.
    """
    for table in tables:
        if table not in TABLES:
            raise RecipeError(f"{table}: no such table; choose one of {', '.join(TABLES)}, or all")
    base = read_recipe(recipe, overrides)
    _check_base(base, tables, path=recipe)
    folder = folder.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecipeError(f"{folder}: {explain_os_error(error)}; give another --output") from error
    changes = {row.name: row_overrides(row, base) for table in tables for row in TABLES[table]}
    for change in changes.values():
        read_recipe(
            recipe, [*overrides, *change]
        )  # what cannot be built is told before an hour of training
    if not steps:
        steps = _budget(minutes, recipe, overrides, folder=folder, on_row=on_row)
    outcomes: dict[str, list[RowResult]] = {}
    for table in tables:
        outcomes[table] = []
        for number, row in enumerate(TABLES[table], 1):
            on_row(f"{table}, {number} of {len(TABLES[table])}: {row.label}, {steps} steps")
            given = [*overrides, *changes[row.name]]
            if read_recipe(recipe, overrides) != base:
                raise RecipeError(
                    f"{recipe}: was changed while its rows are trained; put it back, or give another --output"
                )
            name = "ours" if read_recipe(recipe, given) == base else row.name
            given += [
                f"length.steps={steps}",
                "length.hours=0.0",
                "schedule.by=steps",
                f"record.folder={folder / name}",
            ]
            given.append(f"record.save_every_minutes={SAVED_MINUTES}")
            given.append(f"machine.precision={_precision(base, folder)}")
            outcomes[table].append(_train_or_fail(row, recipe, given))
            on_table(table, outcomes[table])
    return outcomes


def _precision(base: Recipe, folder: Path) -> str:
    """That of the recipe, or for `auto` that which a run in `folder` came to, perhaps on another machine: rows are to agree."""
    begun = sorted(folder.glob(f"*/{RECIPE}")) if base.machine.precision == "auto" else []
    return (
        str(_read(begun[0]).get("machine", {}).get("precision", "auto"))
        if begun
        else base.machine.precision
    )


def _train_or_fail(row: AblationRow, recipe: Path, overrides: Sequence[str]) -> RowResult:
    try:
        return train_row(row, recipe, overrides)
    except RowError as error:
        counts = _counts(read_recipe(recipe, overrides))
        return RowResult(
            row.label, *counts, steps=0, validation={}, printed=row.printed, failure=str(error)
        )


def validation_names(recipe: Path, overrides: Sequence[str]) -> Callable[[Path], list[str]]:
    """What tells the names of those pairs of a folder that `recipe` evaluates on."""
    pairs, _ = validation_pairs(read_recipe(recipe, overrides).validation)
    return lambda folder: shared_names(find_pairs(folder).pairs, pairs)


def _check_base(base: Recipe, tables: Sequence[str], *, path: Path) -> None:
    """Raise RecipeError for a recipe that rows cannot be compared by, before an hour of training."""
    if not base.validation.pairs:
        raise RecipeError(f"{path}: names no pairs to evaluate on; give [[validation.pairs]]")
    parts = {
        "network.unit": (base.network.unit, "plnlim"),
        "network.discriminator_unit": (base.network.discriminator_unit, "plnlim"),
        "adversarial.manner": (base.adversarial.manner, "mcddl"),
    }
    for key, (given, papers) in parts.items():
        if given != papers:
            raise RecipeError(
                f"{path}: has {key} = {given!r}, which the rows change from the paper's {papers!r}; leave it out"
            )
    for table in tables:
        if table in DISCRIMINATORS and not base.loss.beta:
            raise RecipeError(
                f"{table}: compares discriminators, and loss.beta = 0 trains without one; set it above 0"
            )
        if table == "table5" and not base.loss.alpha:
            raise RecipeError(
                "table5: compares with and without hierarchical supervision, and loss.alpha = 0; set it above 0"
            )
    trained = [(folder.folder, select_pairs(folder).pairs) for folder in base.data.pairs]
    if both := shared_pair_warnings(trained, validation_pairs(base.validation)[0]):
        raise RecipeError(f"{both[0]}; exclude them from one or the other")


def _budget(
    minutes: float,
    recipe: Path,
    overrides: Sequence[str],
    *,
    folder: Path,
    on_row: Callable[[str], None],
) -> int:
    """The steps that an earlier call for as many minutes of the same recipe found, or what fits into them now."""
    path = folder / BUDGET
    facts = read_recipe(recipe, overrides).as_dict()
    of = hashlib.sha256(
        json.dumps({k: v for k, v in facts.items() if k not in {"notes", "record"}}).encode()
    ).hexdigest()[:12]
    key = f"{minutes:g} minutes of recipe {of}"
    known = _read(path) if exists(path) else {}
    if key not in known:
        on_row("timing a few steps")
        steps = steps_for(minutes, recipe, [*overrides, f"record.folder={folder / 'pilot'}"])
        known[key] = {
            "steps": steps,
            "timed": datetime.now(timezone.utc).isoformat(timespec="minutes"),
        }
        write_text(path, json.dumps(known, indent=1))
    on_row(f"{known[key]['steps']} steps are {minutes:g} minutes, timed {known[key]['timed']}")
    return int(known[key]["steps"])


def train_row(row: AblationRow, recipe: Path, overrides: Sequence[str]) -> RowResult:
    """Train one row in a process of its own, or go on with it, and read what it left."""
    built = read_recipe(recipe, overrides)
    folder = Path(built.record.folder)
    resume = ["--resume"] if (folder / STATE).exists() else []
    if resume or (folder / WEIGHTS).exists():
        _check_same(built, folder / RECIPE)
    card = _card(folder) if (folder / WEIGHTS).exists() else {}
    if card.get("steps") != built.length.steps or "validation" not in card:
        _train(recipe, [*overrides, *resume], label=row.label)
        card = _card(folder)
        if card["steps"] != built.length.steps:
            raise TrainingError(
                f"{row.label}: was stopped at step {card['steps']}; the same command goes on from there"
            )
    return RowResult(
        row.label,
        *_counts(built),
        steps=card["steps"],
        validation={
            name: (float(psnr), float(ssim)) for name, (psnr, ssim) in card["validation"].items()
        },
        printed=row.printed,
        made=f"{card['date']}, derain {card['derain']}, precision {card['precision']}",
    )


def _counts(recipe: Recipe) -> tuple[int, int]:
    """Parameters of the generator and of the discriminator, if there is one."""
    critic = get_manner(recipe.adversarial.manner).discriminator
    return count_parameters(PLNLIN, recipe.network), count_parameters(
        critic, recipe.network
    ) if recipe.loss.beta else 0


def _check_same(built: Recipe, path: Path) -> None:
    """Raise RecipeError if the row whose recipe lies at `path` was not trained as `built` says.

    A value that derain did not know yet was the default, but for those of `configuration.BEFORE`.
    """
    values = _read(path)
    try:
        values["network"] = asdict(PLNLINConfiguration.from_saved(values["network"]))
        earlier = build_recipe(values, base=path.parent).as_dict()
    except (DerainError, KeyError, TypeError) as error:
        raise RecipeError(
            f"{path}: {error}; take its folder away, or give another --output"
        ) from error
    if not built.loss.beta:
        earlier["network"] = {
            **earlier["network"],
            "normalised_content": built.network.normalised_content,
        }
    now = built.as_dict()
    other = sorted(
        key
        for key in earlier.keys() | now.keys()
        if key not in FREE and earlier.get(key) != now.get(key)
    )
    precisions = {earlier["machine"]["precision"], now["machine"]["precision"]} - {"auto"}
    other += ["machine.precision"] if len(precisions) > 1 else []
    if other:
        raise RecipeError(
            f"{path.parent}: this row was trained by a recipe that differs in {', '.join(other)}; give another --output, "
            f"or take this folder away"
        )


def _read(path: Path) -> dict[str, Any]:
    """What an earlier call left in a JSON file. Raises RecipeError for one that is gone or spoilt."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError(f"{type(values).__name__} in the place of a table")
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"{path}: cannot be read as JSON ({error}); take its folder away, or give another --output"
        ) from error
    return values


def steps_for(minutes: float, recipe: Path, overrides: Sequence[str]) -> int:
    """How many steps of `recipe` fit into `minutes` here, from the last of a few."""
    folder = Path(read_recipe(recipe, overrides).record.folder)
    (folder / STATE).unlink(missing_ok=True)
    (folder / LOG).unlink(missing_ok=True)
    pilot = [
        f"length.steps={PILOT_STEPS}",
        "length.hours=0.0",
        "schedule.by=steps",
        "record.log_every_steps=1",
        "validation.pairs=[]",
    ]
    _train(recipe, [*overrides, *pilot], label="timing")
    events = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    hours = events[-1]["hours"] - events[PILOT_SKIPPED - 1]["hours"]
    return max(1, round(minutes / 60 / hours * (PILOT_STEPS - PILOT_SKIPPED)))


def _card(folder: Path) -> dict[str, Any]:
    return load_weights(folder / WEIGHTS)[2]


def _train(recipe: Path, arguments: Sequence[str], *, label: str) -> None:
    """Train in a process of its own. Ctrl-C and SIGTERM here let it end its step and save its state, and on Linux a kill, too."""
    command = [sys.executable, "-m", "derain.cli.main", "train", str(recipe), *arguments]
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    bound = (
        partial(die_with_parent, os.getpid()) if sys.platform == "linux" else None
    )  # or the next call trains the row beside this one
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as said,
        subprocess.Popen(command, stderr=said, preexec_fn=bound) as process,
    ):
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGTERM)
            process.wait()
            raise
        finally:
            signal.signal(signal.SIGTERM, before)
        said.seek(0)
        lines = said.read().strip().splitlines() or ["it said nothing"]
    if code:
        ours = (
            [line for line in lines if line.startswith("derain: ")]
            or [line for line in lines if "Error: " in line]
            or lines
        )
        raise RowError(
            f"{label}: training ended with code {code}: {ours[-1].removeprefix('derain: ')}"
        )
