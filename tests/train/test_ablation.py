"""The paper's ablations: which rows there are, how they are trained, what is reused."""

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.train_commands import run, wait_for, write_recipe

from derain.cli.main import main
from derain.errors import DerainError, RecipeError, TrainingError
from derain.network import PAPER, PLNLIN, SMALL, PLNLINConfiguration
from derain.network.parameter_matching import TOLERANCE, count_parameters, match_parameters
from derain.train.ablation import run as ablation_run
from derain.train.ablation.results import RowResult, as_csv, as_markdown
from derain.train.ablation.rows import OURS, TABLES, AblationRow, row_network, row_overrides
from derain.train.ablation.run import RowError, ablate, steps_for, train_row
from derain.train.loop import setup
from derain.train.manners import get_manner
from derain.train.recipe_file import read_recipe

SMALLEST = [
    "network.channels=[12, 12, 12, 12]",
    "loss.beta=1.0",
    "length.hours=0.0",
    "schedule.by=steps",
]
TINY = ["network.channels=[4, 4, 4, 4]", "loss.beta=1.0", "length.hours=0.0"]
ROWS = {row.name: row for rows in TABLES.values() for row in rows}


def train_here(recipe, arguments, *, label):
    """Train a row in this process."""
    overrides = [argument for argument in arguments if argument != "--resume"]
    setup(read_recipe(recipe, overrides), resume="--resume" in arguments)


@pytest.fixture
def in_process(monkeypatch):
    """Train rows in this process instead of one of their own."""
    monkeypatch.setattr("derain.train.ablation.run._train", train_here)


@pytest.fixture(scope="module")
def trained_rows(tmp_path_factory, shared_data):
    """A folder with the rows of Table 5 after one step, not to be changed."""
    folder = tmp_path_factory.mktemp("rows")
    write_recipe(folder, shared_data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("derain.train.ablation.run._train", train_here)
        table5(folder)
    return folder / "out"


@pytest.fixture
def rows(project, trained_rows):
    """`project` with the rows of Table 5 after one step in `out`."""
    shutil.copytree(trained_rows, project / "out")
    return project


def table5(project, *overrides, **settings):
    """Train the rows of Table 5 for one step, below `out`."""
    settings = {"folder": project / "out", "steps": 1, "on_row": lambda _: None} | settings
    return ablate(["table5"], project / "recipe.toml", [*TINY, *overrides], **settings)


def table5_command(project, *arguments, steps=1):
    recipe, output = str(project / "recipe.toml"), str(project / "out")
    options = ["--recipe", recipe, "--steps", str(steps), "--output", output]
    return ["ablate", "table5", *options, *TINY, *arguments]


# the rows


def parameter_table(base):
    """The table in docs/ablations.md: both networks in every row, the paper's own first."""
    rows = {row.name: row for rows in TABLES.values() for row in rows}
    lines = [
        "| row | G parameters | D parameters | G channels | D channels |",
        "|---|---|---|---|---|",
    ]
    for name in sorted(rows, key=lambda name: name != "ours"):
        row = rows[name]
        network = row_network(row, base)
        counts = (
            count_parameters(PLNLIN, network),
            count_parameters(get_manner(row.manner).discriminator, network),
        )
        cells = [
            name,
            *(f"{count:,}" for count in counts),
            *(
                ", ".join(map(str, channels))
                for channels in (network.channels, network.effective_discriminator_channels)
            ),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


@pytest.mark.slow
@pytest.mark.parametrize("preset", [SMALL, PAPER], ids=["small", "paper"])
def test_rows_have_matching_parameters_as_documented(project, preset):
    base = replace(read_recipe(project / "recipe.toml", ["loss.beta=1.0"]), network=preset)
    table = parameter_table(base)
    assert table in (Path(__file__).parents[2] / "docs/ablations.md").read_text(encoding="utf-8")
    counts = [
        tuple(int(cell.replace(",", "")) for cell in line.split("|")[2:4])
        for line in table.splitlines()[2:]
    ]
    ours = counts[0]
    assert len(counts) == len(ROWS)
    ratios = [n / of for row in counts for n, of in zip(row, ours, strict=True)]
    assert all(abs(ratio - 1) <= TOLERANCE for ratio in ratios)


def test_every_row_has_its_own_folder():
    names = [row.name for rows in TABLES.values() for row in rows if row.printed != OURS]
    assert len(set(names)) == len(names) == 19


@pytest.mark.slow
def test_channels_without_a_match_are_reported():
    ours = PLNLINConfiguration(
        preset="tiny", channels=(2, 2, 2, 2), stages=(1, 1, 1, 1), head_stages=1
    )
    with pytest.raises(RecipeError, match="choose larger ones"):
        match_parameters(replace(ours, unit="swin"), target=count_parameters(PLNLIN, ours))


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_row_trains_resumes_and_validates(project, name):
    base = read_recipe(project / "recipe.toml", SMALLEST)
    overrides = [*SMALLEST, *row_overrides(ROWS[name], base)]
    run(project, *overrides, "length.steps=1", "validation.pairs=[]")
    run(project, *overrides, "length.steps=2", resume=True)
    # reads the result of the run
    result = train_row(ROWS[name], project / "recipe.toml", [*overrides, "length.steps=2"])
    assert result.steps == 2
    assert result.validation["pairs"][0] > 0


def test_discriminator_parameters_are_those_of_the_manner(project, in_process):
    overrides = [*TINY, "length.steps=1", "adversarial.manner=classical"]
    result = train_row(AblationRow("classical"), project / "recipe.toml", overrides)
    network = read_recipe(project / "recipe.toml", overrides).network
    discriminator = get_manner("classical").discriminator(network)
    assert result.discriminator_parameters == sum(p.numel() for p in discriminator.parameters())


# a table, trained and written


@pytest.mark.slow
def test_command_trains_rows_in_processes_of_their_own(project):
    assert main(table5_command(project)) == 0
    assert "without hierarchical supervision" in (project / "out/table5.md").read_text()


def test_command_writes_the_table(rows):
    assert main(table5_command(rows)) == 0
    table = (rows / "out/table5.md").read_text()
    assert "without hierarchical supervision" in table
    assert "30.164 / 0.9227" in table
    # two rows, each with the folder and the mean
    assert len((rows / "out/table5.csv").read_text().splitlines()) == 1 + 2 * 2


def test_trained_rows_are_reused(rows):
    before = (rows / "out/ours/log.jsonl").stat().st_mtime_ns
    table5(rows)
    assert (rows / "out/ours/log.jsonl").stat().st_mtime_ns == before


def test_failed_row_does_not_stop_the_others(project, monkeypatch, capsys):
    def fail_first(recipe, overrides, *, label):
        if label.startswith("without"):
            raise RowError(f"{label}: the loss is nan")
        train_here(recipe, overrides, label=label)

    monkeypatch.setattr("derain.train.ablation.run._train", fail_first)
    assert main(table5_command(project)) == 1
    assert "1 rows failed: without hierarchical supervision: the loss" in capsys.readouterr().err
    table = (project / "out/table5.md").read_text().splitlines()
    assert "| 0 | failed |" in table[2]
    assert float(table[3].split("|")[5].split("/")[0]) > 0
    assert "- without hierarchical supervision: the loss is nan" in table


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script in the place of Python")
def test_reason_of_a_failed_row_may_be_in_another_encoding(tmp_path, monkeypatch):
    """As in files on Windows: the other process names C:\\Users\\André in the system's encoding."""
    program = tmp_path / "python"
    lines = ["#!/bin/sh", r"printf 'derain: Andr\351.toml: no such recipe\n' >&2; exit 1"]
    program.write_text("\n".join(lines))
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(RowError, match=r"^row: .* code 1: Andr.\.toml: no such recipe$"):
        ablation_run._train(Path("recipe.toml"), [], label="row")


@pytest.mark.parametrize(
    "scores",
    [{}, {"a": (22.0, 0.8), "mean": (22.0, 0.8)}, {s: (22.0, 0.8) for s in ("a", "b", "mean")}],
)
def test_lines_of_a_table_have_equally_many_cells(scores):
    """Also if no row has finished; the mean of one folder is that folder."""
    results = [
        RowResult("done", 10, 5, 1000, scores, None),
        RowResult("failed", 10, 5, 1000, {}, None),
    ]
    lines = as_markdown(results).splitlines()
    score_columns = {0: 0, 2: 1, 3: 3}[len(scores)]
    assert {line.count("|") for line in lines} == {6 + score_columns}


def test_failed_row_has_a_line_in_the_csv():
    lines = as_csv([RowResult("failed", 10, 5, 0, {}, None, failure="nan")]).splitlines()
    assert lines[1] == "failed,10,5,0,,nan,,,,,"


# rows of an earlier call


def test_row_of_another_recipe_is_rejected(rows):
    with pytest.raises(
        RecipeError, match=r"out/alpha-0\.0: this row was .* differs in data; choose another"
    ):
        table5(rows, "data.crop_px=112")


def saved_recipe(rows):
    path = rows / "out/ours/recipe.json"
    return path, json.loads(path.read_text())


def test_row_of_an_older_version_is_accepted(rows):
    path, values = saved_recipe(rows)
    del values["data"]["mix"]["zoom"]  # as if it had been added later
    path.write_text(json.dumps(values))
    table5(rows)


def test_row_without_normalised_features_is_rejected(rows):
    path, values = saved_recipe(rows)
    del values["network"]["normalised_content"]  # as written before this field existed
    path.write_text(json.dumps(values))
    with pytest.raises(RecipeError, match="differs in network; choose another"):
        table5(rows)


@pytest.mark.parametrize("corrupt", ["{", "[]", '{"network": {"chanels": []}}', None])
def test_corrupt_recipe_of_a_row_is_reported(corrupt, rows):
    path, _ = saved_recipe(rows)
    path.unlink()
    if corrupt:
        path.write_text(corrupt)
    with pytest.raises(
        RecipeError, match=r"ours/recipe\.json: .*; remove its folder, or choose another --output"
    ):
        table5(rows)


def test_row_without_a_checkpoint_still_has_its_recipe(rows):
    (rows / "out/ours/state.ckpt").unlink()
    with pytest.raises(RecipeError, match="seed"):
        table5(rows, "seed=9")


def test_automatic_precision_accepts_trained_rows(rows):
    table5(rows, "machine.precision=auto")


def test_row_of_another_precision_is_rejected(rows):
    with pytest.raises(RecipeError, match=r"differs in machine\.precision"):
        table5(rows, "machine.precision=bf16-mixed")


def test_rows_keep_one_precision(rows, monkeypatch, in_process):
    shutil.rmtree(rows / "out/ours")
    # the precision that `auto` would select on this machine
    monkeypatch.setenv("DERAIN_PRECISION", "bf16-mixed")
    results = table5(rows, "machine.precision=auto")
    assert all("precision 32-true" in row.made for row in results["table5"])


def test_killed_row_is_resumed(rows, in_process):
    folder = rows / "out/ours"
    (folder / "weights.safetensors").unlink()  # written at the end of a run
    path, values = saved_recipe(rows)
    values["length"]["steps"] = 2
    path.write_text(json.dumps(values))
    overrides = [*TINY, "length.steps=2", "schedule.by=steps", f"record.folder={folder}"]
    assert train_row(ROWS["ours"], rows / "recipe.toml", overrides).steps == 2
    assert len((folder / "log.jsonl").read_text().splitlines()) > 2


def test_stopped_row_does_not_count_as_trained(project, monkeypatch):
    def stop_early(recipe, overrides, *, label):
        train_here(recipe, [*overrides, "length.steps=1"], label=label)

    monkeypatch.setattr("derain.train.ablation.run._train", stop_early)
    with pytest.raises(TrainingError, match="stopped at step 1"):
        train_row(AblationRow("x"), project / "recipe.toml", ["validation.pairs=[]"])


# recipes and options that are rejected before an hour of training


def test_unknown_table_lists_the_known_ones(project):
    with pytest.raises(RecipeError, match="table1, table3"):
        ablate(["table2"], project / "recipe.toml", folder=project / "out", steps=1)


@pytest.mark.parametrize("table", ["table1", "table6", "table7"])
def test_tables_of_discriminators_need_one(project, table):
    with pytest.raises(RecipeError, match="trains without one"):
        ablate([table], project / "recipe.toml", ["loss.beta=0"], folder=project / "out", steps=1)


@pytest.mark.parametrize(
    ("table", "override", "fact"),
    [
        ("table5", "loss.alpha=0", "loss.alpha = 0"),
        ("table4", "network.unit=swin", "has network.unit = 'swin'"),
        ("table6", "network.discriminator_unit=swin", "has network.discriminator_unit = 'swin'"),
        ("table1", "adversarial.manner=classical", "has adversarial.manner = 'classical'"),
    ],
)
def test_base_must_be_the_papers(project, table, override, fact):
    with pytest.raises(RecipeError, match=fact):
        ablate([table], project / "recipe.toml", [*TINY, override], folder=project / "out", steps=1)


def test_impossible_rows_are_rejected_before_training(project):
    with pytest.raises(DerainError):
        ablate(
            ["table7"],
            project / "recipe.toml",
            [*SMALLEST, "adversarial.generator_every=2"],
            folder=project / "out",
            steps=1,
        )
    assert not (project / "out/ours").exists()


def test_changed_recipe_ends_the_table(project, monkeypatch):
    recipe = project / "recipe.toml"

    def change_recipe(row, *_):
        recipe.write_text(recipe.read_text().replace("seed = 3", "seed = 4"))

    monkeypatch.setattr("derain.train.ablation.run._train_or_fail", change_recipe)
    with pytest.raises(RecipeError, match=r"recipe\.toml: was changed while its rows were being"):
        table5(project)


def test_shared_pairs_are_rejected(project):
    with pytest.raises(
        RecipeError,
        match="pairs: 1 of its 6 pairs are used for both training and validation, the first: 1",
    ):
        table5(project, 'data.pairs=[{folder="pairs"}]')


def test_data_option_excludes_validation_pairs(project, shared_data, monkeypatch):
    recipes = []
    monkeypatch.setattr(
        "derain.train.ablation.run._train_or_fail",
        lambda row, recipe, overrides: (
            recipes.append(read_recipe(recipe, overrides))
            or RowResult(row.label, 1, 1, 1, {}, None)
        ),
    )
    assert main(table5_command(project, "--data", str(shared_data / "pairs"))) == 0
    assert recipes[0].data.pairs[0].exclude == ("1",)


def test_output_that_is_a_file_is_rejected(project):
    (project / "out").touch()
    with pytest.raises(RecipeError, match=r"out: a file .*; write to another folder"):
        table5(project)


# minutes


def test_minutes_are_converted_to_steps_once(project, monkeypatch):
    budgets = iter([2, 3])
    asked = []
    monkeypatch.setattr("derain.train.ablation.run.steps_for", lambda *_: next(budgets))
    monkeypatch.setattr(
        "derain.train.ablation.run._train_or_fail",
        lambda row, recipe, overrides: asked.append(read_recipe(recipe, overrides).length.steps),
    )
    table5(project, steps=0, minutes=1)
    table5(project, steps=0, minutes=1)
    table5(project, "optimiser.batch=4", steps=0, minutes=1)
    assert asked == [2, 2, 2, 2, 3, 3]


@pytest.mark.slow
def test_minutes_are_measured(project, in_process):
    overrides = [*TINY, f"record.folder={project / 'pilot'}"]
    assert steps_for(1.0, project / "recipe.toml", overrides) > 10


def test_corrupt_budget_is_reported(project):
    (project / "out").mkdir()
    (project / "out/steps.json").write_text("corrupt")
    with pytest.raises(RecipeError, match=r"steps\.json: cannot be read as JSON"):
        table5(project, steps=0, minutes=1)


# processes


@pytest.mark.slow
def test_failed_process_is_reported_with_its_message(project):
    with pytest.raises(
        TrainingError, match=r"^x: training ended with code 1: \S*missing: no such folder"
    ):
        train_row(AblationRow("x"), project / "recipe.toml", ["data.backgrounds=['missing']"])


@pytest.fixture
def endless_table(project):
    """The process of a table, while its first row is trained."""
    arguments = table5_command(project, "schedule.kind=steps", steps=100000)
    table = subprocess.Popen([sys.executable, "-m", "derain.cli.main", *arguments])
    log = project / "out/alpha-0.0/log.jsonl"
    try:
        wait_for(lambda: log.exists() and log.stat().st_size)
        yield table
    finally:
        table.terminate()


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux", reason="other systems do not tell a process that its parent has ended"
)
def test_row_ends_with_a_killed_table(project, endless_table):
    endless_table.kill()
    # which a stopped run leaves
    wait_for(lambda: (project / "out/alpha-0.0/weights.safetensors").exists())


@pytest.mark.slow
def test_stopped_table_lets_its_row_save_its_state(project, endless_table):
    endless_table.send_signal(signal.SIGTERM)
    assert endless_table.wait(60) != 0
    assert (project / "out/alpha-0.0/state.ckpt").exists()
