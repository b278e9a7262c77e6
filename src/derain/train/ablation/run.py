"""The paper's ablations, Tables 1 and 3 to 7: train every row alike and collect the results."""

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
from derain.files.atomic import write_text, writing
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
from derain.train.shared_pictures import shared_names, shared_pair_warnings
from derain.train.validation import validation_pairs

PILOT_STEPS, PILOT_WARMUP_STEPS = 15, 5  # ten steps are timed: two rounds of r = 5
DISCRIMINATOR_TABLES = {"table1", "table6", "table7"}
"""Tables whose rows differ only in the discriminator and how often it is updated."""
BUDGET = "steps.json"
"""File in the folder of the rows: steps by minutes and recipe."""
SAVE_EVERY_MINUTES = 2
"""A row takes about ten minutes; a kill should not lose all of them."""
IRRELEVANT_SECTIONS = ("machine", "notes", "record")
"""Sections of a recipe that do not change the result of a row, except machine.precision."""


class RowError(TrainingError):
    """A row that cannot be trained; others may still be."""


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
    """Train each row of `tables` with the same seed, crops and number of steps, and validate it.

    `recipe` sets everything that the rows do not change. Give either `steps` or `minutes`, which
    are converted to steps by the speed of the paper's own row, measured once in `folder`. A row
    that was trained there already, for this table or another, is not trained again; an
    interrupted one is resumed. After each row, `on_table` receives the rows of its table so far,
    including rows that failed by a non-finite loss or a full disk. Raises RecipeError, also if a
    row in `folder` was trained by another recipe, and if a pair is used for both training and
    validation.
    """
    for table in tables:
        if table not in TABLES:
            raise RecipeError(f"{table}: no such table; choose one of {', '.join(TABLES)}, or all")
    base = read_recipe(recipe, overrides)
    _check_base(base, tables, path=recipe)
    folder = folder.resolve()
    with writing(folder, RecipeError):
        folder.mkdir(parents=True, exist_ok=True)
    changes = {row.name: row_overrides(row, base) for table in tables for row in TABLES[table]}
    for change in changes.values():
        # report a row that cannot be built before an hour of training
        read_recipe(recipe, [*overrides, *change])
    if not steps:
        steps = _steps_for_budget(minutes, recipe, overrides, folder=folder, on_row=on_row)
    results: dict[str, list[RowResult]] = {}
    for table in tables:
        results[table] = []
        for number, row in enumerate(TABLES[table], 1):
            on_row(f"{table}, {number} of {len(TABLES[table])}: {row.label}, {steps} steps")
            if read_recipe(recipe, overrides) != base:
                raise RecipeError(
                    f"{recipe}: was changed while its rows were being trained; "
                    f"restore it, or choose another --output"
                )
            with_row = [*overrides, *changes[row.name]]
            name = "ours" if read_recipe(recipe, with_row) == base else row.name
            settings = [
                f"length.steps={steps}",
                "length.hours=0.0",
                "schedule.by=steps",
                f"record.folder={folder / name}",
                f"record.save_every_minutes={SAVE_EVERY_MINUTES}",
                f"machine.precision={_precision(base, folder)}",
            ]
            results[table].append(_train_or_fail(row, recipe, [*with_row, *settings]))
            on_table(table, results[table])
    return results


def _precision(base: Recipe, folder: Path) -> str:
    """Return the recipe's precision, or for `auto` that of the runs in `folder`.

    They may have been started on another machine, and rows must have the same precision.
    """
    started = sorted(folder.glob(f"*/{RECIPE}"))
    if base.machine.precision != "auto" or not started:
        return base.machine.precision
    return str(_read_json(started[0]).get("machine", {}).get("precision", "auto"))


def _train_or_fail(row: AblationRow, recipe: Path, overrides: Sequence[str]) -> RowResult:
    try:
        return train_row(row, recipe, overrides)
    except RowError as error:
        counts = _count_parameters(read_recipe(recipe, overrides))
        return RowResult(
            row.label, *counts, steps=0, validation={}, printed=row.printed, failure=str(error)
        )


def validation_names(recipe: Path, overrides: Sequence[str]) -> Callable[[Path], list[str]]:
    """Return a function that lists the pairs of a folder which `recipe` validates on."""
    pairs, _ = validation_pairs(read_recipe(recipe, overrides).validation)
    return lambda folder: shared_names(find_pairs(folder).pairs, pairs)


def _check_base(base: Recipe, tables: Sequence[str], *, path: Path) -> None:
    """Raise RecipeError for a recipe that is unfit to compare rows, before an hour of training."""
    if not base.validation.pairs:
        raise RecipeError(f"{path}: has no pairs for validation; add [[validation.pairs]]")
    parts = {
        "network.unit": (base.plnlin.unit, "plnlim"),
        "network.discriminator_unit": (base.plnlin.discriminator_unit, "plnlim"),
        "adversarial.manner": (base.adversarial.manner, "mcddl"),
    }
    for key, (value, papers) in parts.items():
        if value != papers:
            raise RecipeError(
                f"{path}: has {key} = {value!r}, but the rows are changes to the paper's "
                f"{papers!r}; remove the key"
            )
    for table in tables:
        if table in DISCRIMINATOR_TABLES and not base.loss.beta:
            raise RecipeError(
                f"{table}: compares discriminators, but loss.beta = 0 trains without one; "
                f"set it above 0"
            )
        if table == "table5" and not base.loss.alpha:
            raise RecipeError(
                "table5: compares training with and without hierarchical supervision, but "
                "loss.alpha = 0; set it above 0"
            )
    trained = [(folder.folder, select_pairs(folder).pairs) for folder in base.data.pairs]
    if shared := shared_pair_warnings(trained, validation_pairs(base.validation)[0]):
        raise RecipeError(f"{shared[0]}; exclude them from one of the two")


def _steps_for_budget(
    minutes: float,
    recipe: Path,
    overrides: Sequence[str],
    *,
    folder: Path,
    on_row: Callable[[str], None],
) -> int:
    """Return the steps that fit into `minutes`.

    They are measured once for each recipe and number of minutes, and kept in `folder`.
    """
    path = folder / BUDGET
    settings = read_recipe(recipe, overrides).as_dict()
    relevant = {key: value for key, value in settings.items() if key not in {"notes", "record"}}
    digest = hashlib.sha256(json.dumps(relevant).encode()).hexdigest()[:12]
    key = f"{minutes:g} minutes of recipe {digest}"
    budgets = _read_json(path) if exists(path) else {}
    if key not in budgets:
        on_row("timing a few steps")
        steps = steps_for(minutes, recipe, [*overrides, f"record.folder={folder / 'pilot'}"])
        timed = datetime.now(timezone.utc).isoformat(timespec="minutes")
        budgets[key] = {"steps": steps, "timed": timed}
        write_text(path, json.dumps(budgets, indent=1))
    budget = budgets[key]
    on_row(f"{budget['steps']} steps take {minutes:g} minutes, timed {budget['timed']}")
    return int(budget["steps"])


def train_row(row: AblationRow, recipe: Path, overrides: Sequence[str]) -> RowResult:
    """Train or resume one row in a process of its own, and read its result."""
    built = read_recipe(recipe, overrides)
    folder = Path(built.record.folder)
    resume = ["--resume"] if (folder / STATE).exists() else []
    if resume or (folder / WEIGHTS).exists():
        _check_same_recipe(built, folder / RECIPE)
    card = _read_card(folder) if (folder / WEIGHTS).exists() else {}
    if card.get("steps") != built.length.steps or "validation" not in card:
        _train(recipe, [*overrides, *resume], label=row.label)
        card = _read_card(folder)
        if card["steps"] != built.length.steps:
            raise TrainingError(
                f"{row.label}: was stopped at step {card['steps']}; "
                f"run the same command again to resume it"
            )
    return RowResult(
        row.label,
        *_count_parameters(built),
        steps=card["steps"],
        validation={
            name: (float(psnr), float(ssim)) for name, (psnr, ssim) in card["validation"].items()
        },
        printed=row.printed,
        made=f"{card['date']}, derain {card['derain']}, precision {card['precision']}",
    )


def _count_parameters(recipe: Recipe) -> tuple[int, int]:
    """Return the parameters of the generator and of the discriminator, 0 if there is none."""
    generator = count_parameters(PLNLIN, recipe.plnlin)
    if not recipe.loss.beta:
        return generator, 0
    discriminator = get_manner(recipe.adversarial.manner).discriminator
    return generator, count_parameters(discriminator, recipe.plnlin)


def _check_same_recipe(built: Recipe, path: Path) -> None:
    """Raise RecipeError if the row with the recipe file `path` was not trained as `built` says.

    A value that an earlier version of derain did not know had its default, except those in
    `configuration.LEGACY_DEFAULTS`.
    """
    values = _read_json(path)
    try:
        values["network"] = asdict(PLNLINConfiguration.from_saved(values["network"]))
        trained = build_recipe(values, base=path.parent).as_dict()
    except (DerainError, KeyError, TypeError) as error:
        raise RecipeError(
            f"{path}: {error}; remove its folder, or choose another --output"
        ) from error
    if not built.loss.beta:  # without a discriminator, this field changes nothing
        trained["network"]["normalised_content"] = built.plnlin.normalised_content
    wanted = built.as_dict()
    different = sorted(
        section
        for section in trained.keys() | wanted.keys()
        if section not in IRRELEVANT_SECTIONS and trained.get(section) != wanted.get(section)
    )
    precisions = {trained["machine"]["precision"], wanted["machine"]["precision"]} - {"auto"}
    if len(precisions) > 1:
        different.append("machine.precision")
    if different:
        raise RecipeError(
            f"{path.parent}: this row was trained by a recipe that differs in "
            f"{', '.join(different)}; choose another --output, or remove this folder"
        )


def _read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of an earlier call. Raises RecipeError if it is missing or corrupt."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError(f"expected an object, not {type(values).__name__}")
    except (OSError, ValueError, RecursionError) as error:
        raise RecipeError(
            f"{path}: cannot be read as JSON ({error}); "
            f"remove its folder, or choose another --output"
        ) from error
    return values


def steps_for(minutes: float, recipe: Path, overrides: Sequence[str]) -> int:
    """Return the number of steps of `recipe` that fit into `minutes` on this machine."""
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
    events = [json.loads(line) for line in (folder / LOG).read_text(encoding="utf-8").splitlines()]
    hours = events[-1]["hours"] - events[PILOT_WARMUP_STEPS - 1]["hours"]
    return max(1, round(minutes / 60 / hours * (PILOT_STEPS - PILOT_WARMUP_STEPS)))


def _read_card(folder: Path) -> dict[str, Any]:
    return load_weights(folder / WEIGHTS)[2]


def _train(recipe: Path, arguments: Sequence[str], *, label: str) -> None:
    """Train in a process of its own.

    On Ctrl-C and SIGTERM, it finishes its step and saves its state. On Linux, it does so if this
    process is killed, too.
    """
    command = [sys.executable, "-m", "derain.cli.main", "train", str(recipe), *arguments]
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    # otherwise the next call would train the same row beside an orphan
    on_start = partial(die_with_parent, os.getpid()) if sys.platform == "linux" else None
    with (
        # in the encoding of the system, like the process that writes it
        tempfile.TemporaryFile("w+", errors="replace") as stderr,
        subprocess.Popen(command, stderr=stderr, preexec_fn=on_start) as process,
    ):
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGTERM)
            process.wait()
            raise
        finally:
            signal.signal(signal.SIGTERM, previous)
        stderr.seek(0)
        lines = stderr.read().strip().splitlines() or ["no message"]
    if code:
        messages = (
            [line for line in lines if line.startswith("derain: ")]
            or [line for line in lines if "Error: " in line]
            or lines
        )
        raise RowError(
            f"{label}: training ended with code {code}: {messages[-1].removeprefix('derain: ')}"
        )
