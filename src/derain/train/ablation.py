"""The paper's ablations, Tables 1 and 3 to 7: every row trained alike, and one table of what came out."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from derain.data.pairs import find_pairs
from derain.errors import RecipeError, TrainingError
from derain.files import write_text
from derain.network import PLNLIN, PLNLINConfiguration
from derain.network.matching import matched, parameters
from derain.train.manners import manner
from derain.train.recipe import Recipe
from derain.train.recipe_file import read_recipe
from derain.train.record import WEIGHTS
from derain.train.weights_file import load_weights

PILOT_STEPS, PILOT_SKIPPED = 15, 5  # ten steps are timed: two rounds of r = 5
DISCRIMINATORS = {"table1", "table6", "table7"}
"""Tables whose rows differ in nothing but the discriminator and its turns."""
BUDGET = "steps.json"
"""In the folder of the rows: steps by minutes."""
FREE = ("machine", "notes", "record")
"""Sections of a recipe that do not change what a row comes to."""
Printed = tuple[float, float] | None


@dataclass(frozen=True)
class Row:
    """One row: its name in the paper, what it changes, and the PSNR and SSIM printed for Rain200H, where they are."""

    label: str
    overrides: tuple[str, ...] = ()
    printed: Printed = None
    unit: str = "plnlim"
    """The generator's."""
    discriminator_unit: str = "plnlim"
    manner: str = "mcddl"

    @property
    def parts(self) -> dict[str, str]:
        """What the two networks are made of, where it is not the paper's, by key of the recipe."""
        found = {
            "network.unit": self.unit,
            "network.discriminator_unit": self.discriminator_unit,
            "adversarial.manner": self.manner,
        }
        return {key: name for key, name in found.items() if name not in ("plnlim", "mcddl")}

    @property
    def name(self) -> str:
        """Of the row's folder: what it changes."""
        changes = [*(f"{key}={name}" for key, name in self.parts.items()), *self.overrides]
        return "_".join(change.partition(".")[2].replace("=", "-") for change in changes) or "ours"


OURS = (30.164, 0.9227)
TABLES = {
    "table1": [
        Row("classical: final layer, image only", manner="classical"),
        Row("MSG-GAN: images of every scale, final layer", manner="msg-gan"),
        Row("side layers, image only", manner="deep-image"),
        Row("final layer, with content", manner="content-final"),
        Row("ours: side layers, with content", (), OURS),
    ],
    "table3": [
        Row("(a) without fusion branch", unit="without-fusion"),
        Row("(b) concatenation for SFT", unit="concatenation"),
        Row("(c) both local", unit="both-local"),
        Row("(d) both non-local", unit="both-nonlocal"),
        Row("(e) without interaction", unit="without-interaction"),
        Row("(f) ours", (), OURS),
    ],
    "table4": [
        Row("local: residual blocks", unit="residual", printed=(29.866, 0.9190)),
        Row("non-local: Swin blocks", unit="swin", printed=(29.948, 0.9194)),
        Row("ours: PLNLIM", (), OURS),
    ],
    "table5": [
        Row("without hierarchical supervision", ("loss.alpha=0.0",)),
        Row("ours: with it", (), OURS),
    ],
    "table6": [
        Row("discriminator of residual blocks", (), (29.983, 0.9174), discriminator_unit="residual"),
        Row("discriminator of Swin blocks", (), (29.992, 0.9175), discriminator_unit="swin"),
        Row("ours: discriminator of PLNLIMs", (), OURS),
    ],
    "table7": [
        *(Row(f"r = {r}", (f"adversarial.discriminator_every={r}",), OURS if r == 5 else None) for r in (1, 3, 5, 7, 9)),
        Row("r = 1/5", ("adversarial.generator_every=5", "adversarial.discriminator_every=1")),
    ],
}
"""Rows by table. Where the text names no value (r but for 5), the values are ours."""


@dataclass(frozen=True)
class Outcome:
    """What a row came to."""

    label: str
    generator_parameters: int
    discriminator_parameters: int
    steps: int
    validation: dict[str, tuple[float, float]]
    """PSNR in dB and SSIM, protocol `paper`, of each validation folder."""
    printed: Printed


def ablate(
    tables: Sequence[str],
    recipe: Path,
    overrides: Sequence[str] = (),
    *,
    folder: Path,
    steps: int = 0,
    minutes: float = 0.0,
    on_row: Callable[[str], None] = print,
    on_table: Callable[[str, list[Outcome]], object] = lambda *_: None,
) -> dict[str, list[Outcome]]:
    """Train each row of `tables` from the same seed, on the same crops, for the same number of steps, and evaluate it.

    `recipe` gives all that the rows do not change. Either `steps` or `minutes`, from which the steps follow by the speed of the
    paper's own row, measured once in `folder`. A row that has been trained there already, for this table or another, is not
    trained again, one that was cut off goes on. `on_table` is called with each table when its rows are done. Raises RecipeError,
    also where a row there was trained by another recipe.
    """
    for table in tables:
        if table not in TABLES:
            raise RecipeError(f"{table}: no such table; choose one of {', '.join(TABLES)}")
    base = read_recipe(recipe, overrides)
    for table in set(tables) & DISCRIMINATORS:
        if not base.loss.beta:
            raise RecipeError(f"{table}: compares discriminators, and loss.beta = 0 trains without one; set it above 0")
    for pairs in (*base.data.pairs, *base.validation.pairs):
        find_pairs(pairs.folder)  # before an hour of training: raises where there are none
    if not base.validation.pairs:
        raise RecipeError(f"{recipe}: names no pairs to evaluate on; give [[validation.pairs]]")
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if not steps:
        steps = _budget(minutes, recipe, overrides, folder=folder, on_row=on_row)
    outcomes: dict[str, list[Outcome]] = {}
    for table in tables:
        outcomes[table] = []
        for number, row in enumerate(TABLES[table], 1):
            on_row(f"{table}, {number} of {len(TABLES[table])}: {row.label}, {steps} steps")
            given = [*overrides, *row_overrides(row, base)]
            name = "ours" if read_recipe(recipe, given) == base else row.name
            given += [f"length.steps={steps}", "length.hours=0.0", "schedule.by=steps", f"record.folder={folder / name}"]
            outcomes[table].append(train_row(row, recipe, given))
        on_table(table, outcomes[table])
    return outcomes


def _budget(minutes: float, recipe: Path, overrides: Sequence[str], *, folder: Path, on_row: Callable[[str], None]) -> int:
    """The steps that an earlier call with as many minutes took, or what fits into them now."""
    path = folder / BUDGET
    known: dict[str, int] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if f"{minutes:g}" not in known:
        on_row("timing a few steps")
        known[f"{minutes:g}"] = steps_in(minutes, recipe, [*overrides, f"record.folder={folder / 'pilot'}"])
        write_text(path, json.dumps(known))
    return known[f"{minutes:g}"]


def row_overrides(row: Row, base: Recipe) -> list[str]:
    """What a row changes in the recipe `base`, the channels of both networks among it."""
    given = [*row.overrides, *(f"{key}={json.dumps(name)}" for key, name in row.parts.items())]
    if row.parts:
        network = row_network(row, base)
        given.append(f"network.channels={list(network.channels)}")
        given.append(f"network.discriminator_channels={list(network.discriminator_channels)}")
    return given


def row_network(row: Row, base: Recipe) -> PLNLINConfiguration:
    """The networks of a row, with channels so that both have as many parameters as those of `base`, within 2 %."""
    network = replace(base.network, unit=row.unit, discriminator_unit=row.discriminator_unit)
    network = matched(network, wanted=parameters(PLNLIN, base.network))
    if not base.loss.beta:
        return network
    return matched(
        replace(network, discriminator_channels=base.network.critic_channels),
        wanted=parameters(manner(base.adversarial.manner).discriminator, base.network),
        of=manner(row.manner).discriminator,
        field="discriminator_channels",
    )


def train_row(row: Row, recipe: Path, overrides: Sequence[str]) -> Outcome:
    """Train one row in a process of its own, or go on with it, and read what it left."""
    built = read_recipe(recipe, overrides)
    folder = Path(built.record.folder)
    resume = ["--resume"] if (folder / "state.ckpt").exists() else []
    if resume:
        _check_same(built, folder / "recipe.json")
    card = _card(folder) if (folder / WEIGHTS).exists() else {}
    if card.get("steps") != built.length.steps or "validation" not in card:
        _train(recipe, [*overrides, *resume], label=row.label)
        card = _card(folder)
        if card["steps"] != built.length.steps:
            raise TrainingError(f"{row.label}: was stopped at step {card['steps']}; the same command goes on from there")
    critic = manner(built.adversarial.manner).discriminator
    return Outcome(
        label=row.label,
        generator_parameters=parameters(PLNLIN, built.network),
        discriminator_parameters=parameters(critic, built.network) if built.loss.beta else 0,
        steps=card["steps"],
        validation={name: (float(psnr), float(ssim)) for name, (psnr, ssim) in card["validation"].items()},
        printed=row.printed,
    )


def _check_same(built: Recipe, path: Path) -> None:
    """Raise RecipeError if the row whose recipe lies at `path` was not trained as `built` says."""
    earlier, now = json.loads(path.read_text(encoding="utf-8")), json.loads(json.dumps(built.as_dict()))
    other = sorted(key for key in earlier.keys() | now.keys() if key not in FREE and earlier.get(key) != now.get(key))
    if other:
        raise RecipeError(
            f"{path.parent}: this row was trained by a recipe that differs in {', '.join(other)}; give another --output, "
            f"or take this folder away"
        )


def steps_in(minutes: float, recipe: Path, overrides: Sequence[str]) -> int:
    """How many steps of `recipe` fit into `minutes` here, from the last of a few."""
    folder = Path(read_recipe(recipe, overrides).record.folder)
    (folder / "state.ckpt").unlink(missing_ok=True)
    (folder / "log.jsonl").unlink(missing_ok=True)
    pilot = [
        f"length.steps={PILOT_STEPS}",
        "length.hours=0.0",
        "schedule.by=steps",
        "record.log_every_steps=1",
        "validation.pairs=[]",
    ]
    _train(recipe, [*overrides, *pilot], label="timing")
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    hours = events[-1]["hours"] - events[PILOT_SKIPPED - 1]["hours"]
    return max(1, round(minutes / 60 / hours * (PILOT_STEPS - PILOT_SKIPPED)))


def _card(folder: Path) -> dict[str, Any]:
    return load_weights(folder / WEIGHTS)[2]


def _train(recipe: Path, arguments: Sequence[str], *, label: str) -> None:
    """Train in a process of its own. Ctrl-C and SIGTERM here let it end its step and save its state."""
    command = [sys.executable, "-m", "derain.cli.main", "train", str(recipe), *arguments]
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said, subprocess.Popen(command, stderr=said) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGTERM)
            process.wait()
            raise
        finally:
            signal.signal(signal.SIGTERM, before)
        said.seek(0)
        last = (said.read().strip().splitlines() or ["it said nothing"])[-1]
    if code:
        raise TrainingError(f"{label}: training ended with code {code}: {last.removeprefix('derain: ')}")


def parameter_table(base: Recipe) -> str:
    """Parameters and channels of both networks in every row, the paper's own first, as Markdown."""
    rows = {row.name: row for rows in TABLES.values() for row in rows}
    lines = ["| row | G parameters | D parameters | G channels | D channels |", "|---|---|---|---|---|"]
    for name in sorted(rows, key=lambda name: name != "ours"):
        row = rows[name]
        network = row_network(row, base)
        counts = parameters(PLNLIN, network), parameters(manner(row.manner).discriminator, network)
        cells = [
            name,
            *(f"{count:,}" for count in counts),
            *(", ".join(map(str, channels)) for channels in (network.channels, network.critic_channels)),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as a table, with what the paper prints for Rain200H beside them."""
    sets = list(outcomes[0].validation)
    lines = ["| row | G parameters | D parameters | steps | " + " | ".join(sets) + " | printed (Rain200H, full training) |"]
    lines.append("|---" * (5 + len(sets)) + "|")
    for o in outcomes:
        scores = " | ".join(f"{psnr:.2f} / {ssim:.4f}" for psnr, ssim in o.validation.values())
        printed = f"{o.printed[0]:.3f} / {o.printed[1]:.4f}" if o.printed else ""
        lines.append(
            f"| {o.label} | {o.generator_parameters:,} | {o.discriminator_parameters:,} | {o.steps:,} | {scores} | {printed} |"
        )
    return "\n".join(lines) + "\n"


def as_csv(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as comma-separated values, a line for each row and validation folder."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["row", "generator_parameters", "discriminator_parameters", "steps", "set", "psnr", "ssim", "paper_psnr", "paper_ssim"]
    )
    for o in outcomes:
        facts = asdict(o)
        for name, (psnr, ssim) in o.validation.items():
            head = [facts[k] for k in ("label", "generator_parameters", "discriminator_parameters", "steps")]
            writer.writerow([*head, name, psnr, ssim, *(o.printed or ("", ""))])
    return text.getvalue()
