import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.train_commands import wait_for

from derain.cli.main import main
from derain.errors import DerainError, RecipeError, TrainingError
from derain.network import PAPER, PLNLIN, SMALL, PLNLINConfiguration
from derain.network.parameter_matching import TOLERANCE, count_parameters, match_parameters
from derain.train.ablation.results import RowResult, as_markdown
from derain.train.ablation.rows import OURS, TABLES, AblationRow, parameter_table, row_overrides
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


@pytest.mark.parametrize("preset", [SMALL, PAPER], ids=["small", "paper"])
def test_rows_have_as_many_parameters_as_ours_and_as_the_documentation_says(project, preset):
    base = replace(read_recipe(project / "recipe.toml", ["loss.beta=1.0"]), network=preset)
    table = parameter_table(base)
    print(table)
    assert table in (Path(__file__).parents[2] / "docs/ablations.md").read_text(encoding="utf-8")
    counts = [
        tuple(int(cell.replace(",", "")) for cell in line.split("|")[2:4])
        for line in table.splitlines()[2:]
    ]
    ours = counts[0]
    assert len(counts) == len(ROWS)
    assert all(
        abs(n / of - 1) <= TOLERANCE for row in counts for n, of in zip(row, ours, strict=True)
    )


@pytest.mark.parametrize("name", ROWS)
def test_every_row_trains_saves_resumes_and_evaluates(project, name):
    base = read_recipe(project / "recipe.toml", SMALLEST)
    given = [*SMALLEST, *row_overrides(ROWS[name], base), "validation.every_steps=1"]
    setup(read_recipe(project / "recipe.toml", [*given, "length.steps=1"]))
    setup(read_recipe(project / "recipe.toml", [*given, "length.steps=2"]), resume=True)
    outcome = train_row(
        ROWS[name], project / "recipe.toml", [*given, "length.steps=2"]
    )  # reads what is there
    assert outcome.steps == 2 and outcome.validation["pairs"][0] > 0


def test_table_is_trained_and_written(project, capsys):
    arguments = [
        "ablate",
        "table5",
        "--recipe",
        str(project / "recipe.toml"),
        "--steps",
        "2",
        "--output",
        str(project / "out"),
    ]
    assert main([*arguments, *TINY]) == 0
    table = (project / "out/table5.md").read_text()
    assert "without hierarchical supervision" in table
    assert "30.164 / 0.9227" in table
    assert (
        len((project / "out/table5.csv").read_text().splitlines()) == 1 + 2 * 2
    )  # two rows, the folder and the mean
    before = (project / "out/ours/log.jsonl").stat().st_mtime_ns
    assert main([*arguments, *TINY]) == 0  # ours is a row of every table
    assert (
        project / "out/ours/log.jsonl"
    ).stat().st_mtime_ns == before  # what is trained is not trained again


def test_row_of_another_recipe_is_not_taken_for_this_one(project):
    rows = {"folder": project / "out", "steps": 1, "on_row": lambda _: None}
    ablate(["table5"], project / "recipe.toml", TINY, **rows)
    with pytest.raises(
        RecipeError,
        match=r"out/alpha-0\.0: this row was trained by a recipe that differs in data; give another",
    ):
        ablate(["table5"], project / "recipe.toml", [*TINY, "data.crop_px=112"], **rows)


def test_row_of_a_recipe_that_knew_fewer_values_is_taken_for_this_one(project):
    rows = {"folder": project / "out", "steps": 1, "on_row": lambda _: None}
    ablate(["table5"], project / "recipe.toml", TINY, **rows)
    path = project / "out/ours/recipe.json"
    facts = json.loads(path.read_text())
    del facts["data"]["mix"]["zoom"]  # as if it had come later
    path.write_text(json.dumps(facts))
    ablate(["table5"], project / "recipe.toml", TINY, **rows)


def test_row_of_features_as_they_are_is_not_taken_for_one_of_normalised_ones(project):
    rows = {"folder": project / "out", "steps": 1, "on_row": lambda _: None}
    ablate(["table5"], project / "recipe.toml", TINY, **rows)
    path = project / "out/ours/recipe.json"
    facts = json.loads(path.read_text())
    del facts["network"]["normalised_content"]  # as derain wrote it when it did not know of this
    path.write_text(json.dumps(facts))
    with pytest.raises(RecipeError, match="differs in network; give another"):
        ablate(["table5"], project / "recipe.toml", TINY, **rows)


@pytest.mark.parametrize("spoilt", ["{", "[]", '{"network": {"chanels": []}}', None])
def test_spoilt_recipe_of_a_row_is_named(spoilt, project):
    rows = {"folder": project / "out", "steps": 1, "on_row": lambda _: None}
    ablate(["table5"], project / "recipe.toml", TINY, **rows)
    path = project / "out/ours/recipe.json"
    path.unlink()
    if spoilt:
        path.write_text(spoilt)
    with pytest.raises(
        RecipeError, match=r"ours/recipe\.json: .*; take its folder away, or give another --output"
    ):
        ablate(["table5"], project / "recipe.toml", TINY, **rows)


def test_folder_that_is_a_file_and_spoilt_budget_are_named(project):
    (project / "file").touch()
    with pytest.raises(
        RecipeError, match=r"file: what should be its folder is a file; .*; give another --output"
    ):
        ablate(["table5"], project / "recipe.toml", TINY, folder=project / "file", steps=1)
    (project / "steps.json").write_text("spoilt")
    with pytest.raises(RecipeError, match=r"steps\.json: cannot be read as JSON"):
        ablate(["table5"], project / "recipe.toml", TINY, folder=project, minutes=1)


def test_row_without_the_hierarchical_loss_trains_in_several_processes(project):
    arguments = [
        "ablate",
        "table5",
        "--recipe",
        str(project / "recipe.toml"),
        "--steps",
        "3",
        "--output",
        str(project / "out"),
    ]
    assert main([*arguments, *TINY, "machine.processes=2", "adversarial.warmup_steps=1"]) == 0


def test_row_that_fails_does_not_keep_the_others_from_being_trained(project, monkeypatch, capsys):
    def failing(recipe, overrides, *, label):
        if label.startswith("without"):
            raise RowError(f"{label}: the loss is nan")
        setup(read_recipe(recipe, overrides))

    monkeypatch.setattr("derain.train.ablation.run._train", failing)
    arguments = [
        "ablate",
        "table5",
        "--recipe",
        str(project / "recipe.toml"),
        "--steps",
        "1",
        "--output",
        str(project / "out"),
    ]
    assert main([*arguments, *TINY]) == 1
    assert (
        "1 rows failed: without hierarchical supervision: the loss is nan"
        in capsys.readouterr().err
    )
    table = (project / "out/table5.md").read_text().splitlines()
    assert "| 0 | failed |" in table[2]
    assert float(table[3].split("|")[5].split("/")[0]) > 0
    assert "- without hierarchical supervision: the loss is nan" in table


def test_pairs_that_are_evaluated_on_are_not_trained_on(project):
    given = [*TINY, 'data.pairs=[{folder="pairs"}]']
    with pytest.raises(
        RecipeError,
        match=r"pairs: 1 of its 6 pairs are both trained and evaluated on, the first 1; exclude",
    ):
        ablate(["table5"], project / "recipe.toml", given, folder=project / "out", steps=1)
    arguments = [
        "ablate",
        "table5",
        "--recipe",
        str(project / "recipe.toml"),
        "--steps",
        "1",
        "--output",
        str(project / "out"),
    ]
    assert main([*arguments, *TINY, "--data", str(project / "pairs")]) == 0
    assert json.loads((project / "out/ours/recipe.json").read_text())["data"]["pairs"][0][
        "exclude"
    ] == ["1"]


@pytest.mark.skipif(
    sys.platform != "linux", reason="other systems do not tell a process that its parent is gone"
)
def test_killing_the_table_ends_its_row(project):
    arguments = [
        "--recipe",
        str(project / "recipe.toml"),
        "--steps",
        "100000",
        "--output",
        str(project / "out"),
    ]
    command = [
        sys.executable,
        "-m",
        "derain.cli.main",
        "ablate",
        "table5",
        *arguments,
        *TINY,
        "schedule.kind=steps",
    ]
    table = subprocess.Popen(command)
    log = project / "out/alpha-0.0/log.jsonl"
    wait_for(lambda: log.exists() and log.stat().st_size)
    table.kill()
    wait_for(
        lambda: (project / "out/alpha-0.0/weights.safetensors").exists()
    )  # which a run that was stopped leaves


def test_row_that_was_killed_goes_on(project):
    given = ["schedule.by=steps", f"record.folder={project / 'row'}"]
    setup(read_recipe(project / "recipe.toml", [*given, "length.steps=1", "validation.pairs=[]"]))
    (project / "row/weights.safetensors").unlink()  # which a run leaves at its end
    killed = read_recipe(project / "recipe.toml", [*given, "length.steps=2"])
    (project / "row/recipe.json").write_text(json.dumps(killed.as_dict()))
    assert (
        train_row(AblationRow("x"), project / "recipe.toml", [*given, "length.steps=2"]).steps == 2
    )


def test_stopping_the_table_lets_the_row_save_its_state(project):
    arguments = [
        "ablate",
        "table5",
        "--recipe",
        str(project / "recipe.toml"),
        "--steps",
        "100000",
        "--output",
        str(project / "out"),
    ]
    table = subprocess.Popen(
        [sys.executable, "-m", "derain.cli.main", *arguments, *TINY, "schedule.kind=steps"]
    )
    log = project / "out/alpha-0.0/log.jsonl"
    wait_for(lambda: log.exists() and log.stat().st_size)
    table.send_signal(signal.SIGTERM)
    assert table.wait(60) != 0
    assert (project / "out/alpha-0.0/state.ckpt").exists()


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
def test_recipe_that_is_not_the_papers_where_rows_differ_is_refused(project, table, override, fact):
    with pytest.raises(RecipeError, match=fact):
        ablate([table], project / "recipe.toml", [*TINY, override], folder=project / "out", steps=1)


def test_recipe_that_changes_between_rows_ends_the_table(project, monkeypatch):
    recipe = project / "recipe.toml"

    def changing(row, *_):
        recipe.write_text(recipe.read_text().replace("seed = 3", "seed = 4"))

    monkeypatch.setattr("derain.train.ablation.run._train_or_fail", changing)
    with pytest.raises(RecipeError, match=r"recipe\.toml: was changed while its rows are trained"):
        ablate(["table5"], recipe, TINY, folder=project / "out", steps=1, on_row=lambda _: None)


def test_row_of_another_precision_is_not_taken_for_this_one(project):
    rows = {"folder": project / "out", "steps": 1, "on_row": lambda _: None}
    ablate(["table5"], project / "recipe.toml", TINY, **rows)
    ablate(["table5"], project / "recipe.toml", [*TINY, "machine.precision=auto"], **rows)
    with pytest.raises(RecipeError, match=r"differs in machine\.precision"):
        ablate(["table5"], project / "recipe.toml", [*TINY, "machine.precision=bf16-mixed"], **rows)


def test_rows_of_one_folder_have_one_precision_on_any_machine(project, monkeypatch):
    rows = {"folder": project / "out", "steps": 1, "on_row": lambda _: None}
    ablate(["table5"], project / "recipe.toml", [*TINY, "machine.precision=bf16-mixed"], **rows)
    shutil.rmtree(project / "out/ours")
    monkeypatch.setenv("DERAIN_PRECISION", "32-true")  # what `auto` would come to here
    made = ablate(["table5"], project / "recipe.toml", [*TINY, "machine.precision=auto"], **rows)
    assert all("precision bf16-mixed" in row.made for row in made["table5"])


def test_minutes_are_turned_into_steps_once(project, monkeypatch):
    budgets = iter([2, 3])
    monkeypatch.setattr("derain.train.ablation.run.steps_for", lambda *_: next(budgets))
    for _ in range(2):
        out = ablate(
            ["table5"],
            project / "recipe.toml",
            TINY,
            folder=project / "out",
            minutes=1,
            on_row=lambda _: None,
        )
        assert [row.steps for row in out["table5"]] == [2, 2]
    other = [*TINY, "optimiser.batch=4"]
    out = ablate(
        ["table5"],
        project / "recipe.toml",
        other,
        folder=project / "other",
        minutes=1,
        on_row=lambda _: None,
    )
    assert [row.steps for row in out["table5"]] == [3, 3]


def test_every_row_has_a_folder_of_its_own():
    names = [row.name for rows in TABLES.values() for row in rows if row.printed != OURS]
    assert len(set(names)) == len(names) == 19


def test_discriminator_is_counted_as_its_manner_builds_it(project):
    given = [*TINY, "length.steps=1"]
    for name in ("mcddl", "classical"):
        folder = [f"adversarial.manner={name}", f"record.folder={project / name}"]
        outcome = train_row(AblationRow(name), project / "recipe.toml", [*given, *folder])
        critic = get_manner(name).discriminator(read_recipe(project / "recipe.toml", given).network)
        assert outcome.discriminator_parameters == sum(p.numel() for p in critic.parameters())


def test_failing_row_is_told_in_the_words_of_its_run(project):
    with pytest.raises(
        TrainingError, match=r"^x: training ended with code 1: \S*clear7: no such folder"
    ):
        train_row(AblationRow("x"), project / "recipe.toml", ["data.backgrounds=['clear7']"])


def test_stopped_row_is_not_taken_for_a_trained_one(project, monkeypatch):
    def stopped(recipe, overrides, *, label):
        setup(read_recipe(recipe, [*overrides, "length.steps=1"]))

    monkeypatch.setattr("derain.train.ablation.run._train", stopped)
    with pytest.raises(TrainingError, match="stopped at step 1"):
        train_row(AblationRow("x"), project / "recipe.toml", [])


def test_channels_that_nothing_matches_are_named():
    ours = PLNLINConfiguration(
        preset="tiny", channels=(2, 2, 2, 2), stages=(1, 1, 1, 1), head_stages=1
    )
    with pytest.raises(RecipeError, match="choose larger ones"):
        match_parameters(replace(ours, unit="swin"), target=count_parameters(PLNLIN, ours))


def test_minutes_become_steps(project):
    assert (
        steps_for(1.0, project / "recipe.toml", [*TINY, f"record.folder={project / 'pilot'}"]) > 10
    )


def test_unknown_table_lists_the_known_ones(project):
    with pytest.raises(RecipeError, match="table1, table3"):
        ablate(["table2"], project / "recipe.toml", folder=project / "out", steps=1)


@pytest.mark.parametrize(
    "sets",
    [{}, {"a": (22.0, 0.8), "mean": (22.0, 0.8)}, {s: (22.0, 0.8) for s in ("a", "b", "mean")}],
)
def test_every_line_of_a_table_has_a_cell_for_each_column(sets):
    """Without any row that came to an end, too; the mean of one set is that set."""
    rows = [
        RowResult(label, 10, 5, 1000, found, None)
        for label, found in (("ended", sets), ("failed", {}))
    ]
    lines = as_markdown(rows).splitlines()
    assert {line.count("|") for line in lines} == {
        6 + (0 if not sets else 1 if len(sets) == 2 else 3)
    }


def test_row_whose_state_is_gone_is_still_that_of_its_recipe(project):
    arguments = [
        project / "recipe.toml",
        [*TINY, f"record.folder={project / 'out'}", "length.steps=1", "schedule.by=steps"],
    ]
    train_row(ROWS["ours"], *arguments)
    (project / "out/state.ckpt").unlink()
    with pytest.raises(RecipeError, match="seed"):
        train_row(ROWS["ours"], arguments[0], [*arguments[1], "seed=9"])


def test_rows_that_cannot_be_built_are_refused_before_any_is_trained(project):
    with pytest.raises(DerainError):
        ablate(
            ["table7"],
            project / "recipe.toml",
            [*SMALLEST, "adversarial.generator_every=2"],
            folder=project / "out",
            steps=1,
        )
    assert not (project / "out/ours").exists()
